//! MATLAB 5 files, plain, compressed and damaged.

use std::fs;

use super::*;

fn file(elements: &[Vec<u8>]) -> Vec<u8> {
    [header().to_vec(), elements.concat()].concat()
}

fn element(name: &str, shape: &[usize], values: Values) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, name, shape, &values).unwrap();
    bytes
}

fn packed(element: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(element).unwrap();
    let body = encoder.finish().unwrap();
    [&COMPRESSED.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn values(bytes: &[u8], name: &str) -> crate::Result<(Vec<usize>, Vec<f64>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mat");
    fs::write(&path, bytes).unwrap();
    read(&path, name, |mut variable| {
        let mut values = vec![0.0; variable.shape.iter().product()];
        variable.fill(&mut values).map_err(|error| error.to_string())?;
        Ok((variable.shape, values))
    })
}

#[test]
fn compressed_and_plain_elements_are_read() {
    let first = element("first", &[3, 2], Values::Bytes(vec![1, 2, 3, 4, 5, 255]));
    let second = element("second", &[1, 600], Values::Doubles((0..600).map(f64::from).collect()));
    for bytes in [file(&[first.clone(), second.clone()]), file(&[packed(&first), packed(&second)])] {
        assert_eq!(values(&bytes, "first").unwrap(), (vec![3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 255.0]));
        assert_eq!(values(&bytes, "second").unwrap().1[599], 599.0);
        assert!(values(&bytes, "third").unwrap_err().to_string().contains("no variable \"third\""));
    }
}

#[test]
fn short_elements_and_every_number_format_are_read() {
    // As MATLAB writes x = int16([-2 3]): name and values in the short form.
    let element = |format: u32, data: &[u8]| {
        let mut body = Vec::new();
        for word in [6u32, 8, 10, 0, 5, 8, 1, 2, 1 << 16 | 1, u32::from(b'x'), (data.len() as u32) << 16 | format] {
            body.extend(word.to_le_bytes());
        }
        body.extend(data);
        [&MATRIX.to_le_bytes()[..], &(body.len() as u32).to_le_bytes(), &body].concat()
    };
    let short = [(1, vec![254, 3]), (3, vec![254, 255, 3, 0])];
    for (format, data) in short {
        assert_eq!(values(&file(&[element(format, &data)]), "x").unwrap().1, [-2.0, 3.0], "format {format}");
    }
    let mut long = file(&[element(0, &[])]);
    for (format, data) in [
        (5u32, [(-2i32).to_le_bytes(), 3i32.to_le_bytes()].concat()),
        (7, [(-2f32).to_le_bytes(), 3f32.to_le_bytes()].concat()),
        (9, [(-2f64).to_le_bytes(), 3f64.to_le_bytes()].concat()),
        (12, [(-2i64).to_le_bytes(), 3i64.to_le_bytes()].concat()),
    ] {
        long.truncate(HEADER + 8 + 40);
        long.extend(format.to_le_bytes());
        long.extend((data.len() as u32).to_le_bytes());
        long.extend(&data);
        let size = (long.len() - HEADER - 8) as u32;
        long[HEADER + 4..HEADER + 8].copy_from_slice(&size.to_le_bytes());
        assert_eq!(values(&long, "x").unwrap().1, [-2.0, 3.0], "format {format}");
    }
}

#[test]
fn other_versions_and_kinds_say_so() {
    let mut bytes = file(&[element("a", &[1, 1], Values::Doubles(vec![1.0]))]);
    let complex = HEADER + 8 + 8 + 1;
    bytes[complex] = 0x08;
    assert!(values(&bytes, "a").unwrap_err().to_string().contains("no array of real numbers"));
    bytes[..10].copy_from_slice(b"MATLAB 7.3");
    assert!(values(&bytes, "a").unwrap_err().to_string().contains("save it with -v7"));
    assert!(values(&[b'x'; 500], "a").unwrap_err().to_string().contains("no little-endian MATLAB 5 file"));
}

#[test]
fn a_size_that_cannot_be_true_is_refused_before_anything_is_allocated() {
    // A compressed array that claims 4 GB, in a file of some hundred bytes.
    let mut huge = element("a", &[1, 8], Values::Bytes(vec![0; 8]));
    let claim = 0xFFFF_FFF8u32;
    let size = huge.len();
    huge[size - 12..size - 8].copy_from_slice(&claim.to_le_bytes());
    let shape = (claim).to_le_bytes();
    let place = huge.windows(8).position(|window| window == [1, 0, 0, 0, 8, 0, 0, 0]).unwrap();
    huge[place + 4..place + 8].copy_from_slice(&shape);
    let mut whole = huge.clone();
    whole[4..8].copy_from_slice(&claim.to_le_bytes());
    let refuse = |bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mat");
        fs::write(&path, bytes).unwrap();
        read(&path, "a", |_| -> Result<(), String> { panic!("the claim was believed") }).unwrap_err().to_string()
    };
    for bytes in [file(&[whole.clone()]), file(&[packed(&whole)])] {
        assert!(refuse(&bytes).contains("damaged or cut short"));
    }
    // The array alone lies; its element does not.
    for bytes in [file(&[huge.clone()]), file(&[packed(&huge)])] {
        assert!(refuse(&bytes).contains("more than its element holds"), "{}", refuse(&bytes));
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let array = element("a", &[2, 3], Values::Doubles(vec![1.0; 6]));
    for good in [file(std::slice::from_ref(&array)), file(&[packed(&array)])] {
        for place in HEADER..good.len() {
            for value in [0, 0xFF, good[place] ^ 0x11] {
                let mut bytes = good.clone();
                bytes[place] = value;
                // Some changes leave a sound file with other values.
                let _ = values_if_small(&bytes);
            }
        }
        for length in 0..good.len() {
            assert!(values(&good[..length], "a").is_err(), "{length}");
        }
    }
}

/// As [`values`], without believing the shape of a file that was damaged.
fn values_if_small(bytes: &[u8]) -> crate::Result<Vec<f64>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mat");
    fs::write(&path, bytes).unwrap();
    read(&path, "a", |mut variable| {
        let mut values = vec![0.0; 6];
        variable.fill(&mut values).map_err(|error| error.to_string())?;
        Ok(values)
    })
}
