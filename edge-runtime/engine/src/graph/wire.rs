//! Scans protobuf's wire format, without allocating, to learn how much memory decoding will take.

/// Field numbers of ONNX's messages.
const MODEL_GRAPH: u64 = 7;
const GRAPH_INITIALIZER: u64 = 5;
const TENSOR_RAW_DATA: u64 = 9;

/// Returns how many bytes of a model's file are raw values of its constants, or `None` if the file is damaged.
pub fn raw_data(model: &[u8]) -> Option<usize> {
    let mut bytes = 0usize;
    let mut each = |tensor: &[u8]| {
        fields(tensor, |number, content| {
            if number == TENSOR_RAW_DATA {
                bytes = bytes.saturating_add(content.len());
            }
            Some(())
        })
    };
    fields(model, |number, graph| match number {
        MODEL_GRAPH => {
            fields(graph, |number, tensor| if number == GRAPH_INITIALIZER { each(tensor) } else { Some(()) })
        }
        _ => Some(()),
    })?;
    Some(bytes)
}

/// Visits the number and content of every length-delimited field.
fn fields(mut message: &[u8], mut visit: impl FnMut(u64, &[u8]) -> Option<()>) -> Option<()> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match key & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (content, rest) = message.split_at_checked(length)?;
                visit(key >> 3, content)?;
                message = rest;
            }
            5 => message = message.get(4..)?,
            // ONNX has no groups.
            _ => return None,
        }
    }
    Some(())
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
