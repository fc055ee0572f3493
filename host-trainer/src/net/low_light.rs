//! The board's low-light gain ([`expression_core::light`]) on tensors, so that training sees what the board's net will see.

use expression_core::LowLight;
use expression_engine::bundle::LowLightGain;
use tch::{Kind, Tensor};

/// Returns faces `[n, channels, size, size]` in `0..=255` with the dark ones brightened, on any device: the same integers as
/// [`LowLight::apply`]. Faces in floating point are rounded to bytes first, as the board has them.
pub fn brightened(faces: &Tensor, gain: Option<LowLightGain>) -> Tensor {
    let Some(gain) = gain.filter(|gain| gain.checked().is_some()) else { return faces.shallow_clone() };
    let kind = faces.kind();
    let bytes = if kind == Kind::Uint8 { faces.shallow_clone() } else { faces.round().clamp(0.0, 255.0) };
    let bytes = bytes.to_kind(Kind::Int64);
    let count: i64 = bytes.size()[1..].iter().product();
    let sum = bytes.sum_dim_intlist([1i64, 2, 3].as_slice(), true, Kind::Int64);
    let dark = sum.lt(i64::from(gain.below) * count).logical_and(&sum.gt(0));
    let one = i64::from(gain.to) * count * (1 << 16);
    let factor = ((sum.divide_scalar_mode(2, "floor") + one).divide_tensor_mode(&sum.clamp_min(1), "floor"))
        .clamp_max(255 << 16);
    let bright = ((&bytes * factor + 0x8000).divide_scalar_mode(1 << 16, "floor")).clamp_max(255);
    bright.where_self(&dark, &bytes).to_kind(kind)
}

/// Returns aligned faces, u8 `[channels, size, size]` each, as the board's net sees them.
pub fn seen(faces: &[Vec<u8>], gain: Option<LowLight>) -> Vec<Vec<u8>> {
    let mut faces = faces.to_vec();
    if let Some(gain) = gain {
        for face in &mut faces {
            gain.apply(face);
        }
    }
    faces
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use tch::Device;

    use super::*;

    #[test]
    fn tensors_are_brightened_to_the_board_s_bytes() {
        let mut rng = crate::random::rng(1, "low light", 0);
        let faces: Vec<Vec<u8>> = (0..400)
            .map(|number| {
                let most = 1 + number * 255 / 399;
                (0..3 * 7 * 7).map(|_| rng.random_range(0..=most as u8)).collect()
            })
            .chain([vec![0; 147], vec![69; 147], vec![70; 147]])
            .collect();
        let tensor = Tensor::from_data_size(&faces.concat(), &[faces.len() as i64, 3, 7, 7], Kind::Uint8);
        for gain in [
            LowLightGain { below: 70, to: 100 },
            LowLightGain { below: 255, to: 255 },
            LowLightGain { below: 1, to: 1 },
        ] {
            let expected = seen(&faces, gain.checked()).concat();
            for tensor in [tensor.shallow_clone(), tensor.to_kind(Kind::Float) + 0.3] {
                let found = brightened(&tensor, Some(gain)).to_device(Device::Cpu).to_kind(Kind::Uint8);
                assert_eq!(Vec::<u8>::try_from(found.contiguous().view(-1)).unwrap(), expected, "{gain:?}");
            }
        }
        assert_eq!(brightened(&tensor, None), tensor);
        assert_ne!(seen(&faces, LowLightGain { below: 70, to: 100 }.checked()), faces);
    }
}
