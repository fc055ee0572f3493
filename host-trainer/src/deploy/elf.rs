//! Which processor a program is for.

/// The processor that an ELF file was built for, as the first part of Rust's target triples names it; `None` where it is no
/// such file, or one for a processor that no board here has.
pub fn processor(program: &[u8]) -> Option<&'static str> {
    let header = program.get(..20)?;
    if !header.starts_with(b"\x7fELF") {
        return None;
    }
    // EI_CLASS: 32 or 64 bits. EI_DATA: all that we know are little-endian.
    match (header[4], header[5], u16::from_le_bytes([header[18], header[19]])) {
        (2, 1, 183) => Some("aarch64"),
        (2, 1, 62) => Some("x86_64"),
        (1, 1, 40) => Some("armv7"),
        (2, 1, 243) => Some("riscv64gc"),
        _ => None,
    }
}

/// What `uname -m` says on a machine of a target triple.
pub fn machine(target: &str) -> &'static str {
    match target.split('-').next().unwrap_or_default() {
        "aarch64" => "aarch64",
        "x86_64" => "x86_64",
        "armv7" => "armv7l",
        "riscv64gc" => "riscv64",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, machine: u8) -> Vec<u8> {
        let mut header = vec![0; 64];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
        header[18] = machine;
        header
    }

    #[test]
    fn the_processor_is_that_of_the_header() {
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(processor(&this), Some(std::env::consts::ARCH));
        assert_eq!(processor(&header(2, 183)), Some("aarch64"));
        assert_eq!(processor(&header(1, 40)), Some("armv7"));
        assert_eq!(processor(&header(1, 183)), None);
        assert_eq!(processor(b"#!/bin/sh\necho a script is no program\n"), None);
        assert_eq!(processor(&header(2, 183)[..19]), None);
    }
}
