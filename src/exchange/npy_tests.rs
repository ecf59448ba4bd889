use std::io::Write;

use super::*;

fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([version, 0]);
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    bytes.extend(if version == 1 { &length[..2] } else { &length[..] });
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Vec<f32>>, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut array = Npy::open(file.path()).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    while let Some(row) = array.next_row().map_err(|error| error.to_string())? {
        rows.push(row);
    }
    Ok(rows)
}

const F32: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n";

fn numbers() -> Vec<u8> {
    (1_u8..=6).flat_map(|n| f32::from(n).to_le_bytes()).collect()
}

#[test]
fn each_version_and_type_is_read() {
    let expected = vec![vec![1.0, 2.0, 3.0], vec![4.0, 5.0, 6.0]];
    for version in 1..=3 {
        assert_eq!(read(&npy(version, F32, &numbers())), Ok(expected.clone()));
    }
    let doubles: Vec<u8> = (1_u8..=6).flat_map(|n| f64::from(n).to_le_bytes()).collect();
    assert_eq!(read(&npy(1, &F32.replace("f4", "f8"), &doubles)), Ok(expected.clone()));
    let halves: Vec<u8> =
        [0x3c00_u16, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600].into_iter().flat_map(u16::to_le_bytes).collect();
    assert_eq!(read(&npy(1, &F32.replace("f4", "f2"), &halves)), Ok(expected));
    let python_2 = "{\"descr\":\"<f4\",'shape':(6L,1L),'fortran_order':False}";
    assert_eq!(read(&npy(1, python_2, &numbers())).unwrap().len(), 6);
    assert_eq!(read(&npy(1, &F32.replace("(2, 3)", "(0, 3)"), &[])), Ok(Vec::new()));
}

#[test]
fn halves_have_the_same_value_as_floats() {
    for (half, expected) in [
        (0x0000, 0.0),
        (0x8000, -0.0),
        (0x0001, 2_f32.powi(-24)),
        (0x83ff, -1023.0 * 2_f32.powi(-24)),
        (0x0400, 2_f32.powi(-14)),
        (0x3555, 0.333_251_95),
        (0x7bff, 65_504.0),
        (0xfc00, f32::NEG_INFINITY),
    ] {
        assert_eq!(f16_to_f32(half).to_bits(), expected.to_bits(), "{half:#x}");
    }
    assert!(f16_to_f32(0x7e00).is_nan());
}

#[test]
fn other_arrays_are_refused_with_a_reason() {
    for (bytes, part) in [
        (b"PK".to_vec(), "too short"),
        (b"PK\x03\x04........".to_vec(), "not a .npy file"),
        (npy(4, F32, &numbers()), "version 4"),
        (npy(1, &F32.replace("<f4", ">f4"), &numbers()), "`>f4`"),
        (npy(1, &F32.replace("<f4", "|O"), &numbers()), "`|O`"),
        (npy(1, &F32.replace("False", "True"), &numbers()), "fortran_order"),
        (npy(1, &F32.replace("(2, 3)", "(6,)"), &numbers()), "1 dimensions"),
        (npy(1, &F32.replace("(2, 3)", "(2, 0)"), &[]), "1 to 16384"),
        (npy(1, &F32.replace("(2, 3)", "(18446744073709551615, 3)"), &numbers()), "more than any file"),
        (npy(1, F32, &numbers()[1..]), "but the file has"),
        (npy(2, &" ".repeat(MAX_HEADER + 1), &[]), "at most 65536"),
        (npy(1, &F32.replace("'shape'", "'form'"), &numbers()), "unknown key `form`"),
    ] {
        let error = read(&bytes).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn damaged_files_are_errors_and_not_panics() {
    let whole = npy(1, F32, &numbers());
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "cut at {end}");
    }
    let mut seed = 1_u32;
    for at in 0..whole.len() - numbers().len() {
        for _ in 0..8 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut changed = whole.clone();
            changed[at] ^= (seed >> 24) as u8 | 1;
            // A change of a blank, or of a number, can still be a valid file.
            drop(read(&changed));
        }
    }
}
