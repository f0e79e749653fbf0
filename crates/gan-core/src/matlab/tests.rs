use super::*;
use crate::failure::exit_code;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;

const PLAIN: &[u8] = include_bytes!("../../../../tests/fixtures/matlab_plain.mat");
const PACKED: &[u8] = include_bytes!("../../../../tests/fixtures/matlab_packed.mat");
const BIG_ENDIAN: &[u8] = include_bytes!("../../../../tests/fixtures/matlab_big_endian.mat");

const CELL: u32 = 1;
const STRUCT: u32 = 2;
const CHAR: u32 = 4;
const DOUBLE: u32 = 6;
const INT8: u32 = 8;

fn parsed(bytes: &[u8]) -> Variables {
    parse(bytes.to_vec(), "x.mat").unwrap()
}

fn refused(bytes: &[u8]) -> String {
    let error = parse(bytes.to_vec(), "x.mat").unwrap_err();
    let said = error.to_string();
    assert_eq!(exit_code(&error), 3, "{said}");
    assert!(said.starts_with("x.mat: "), "{said}");
    said
}

fn said<T>(result: Result<T>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

/// An element whose data has as many bytes as it claims.
fn element(kind: u32, body: &[u8]) -> Vec<u8> {
    claiming(kind, body.len() as u32, body)
}

fn claiming(kind: u32, length: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), length.to_le_bytes()].concat();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The parts of an array up to its name.
fn head(flags: u32, dims: &[i32], name: &str) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let flags = [flags.to_le_bytes(), [0; 4]].concat();
    [
        element(6, &flags),
        element(5, &dims),
        element(1, name.as_bytes()),
    ]
    .concat()
}

fn array(flags: u32, dims: &[i32], name: &str, rest: &[u8]) -> Vec<u8> {
    element(14, &[head(flags, dims, name), rest.to_vec()].concat())
}

fn numbers(name: &str) -> Vec<u8> {
    array(INT8, &[1, 2], name, &element(1, &[1, 2]))
}

fn plain(variables: &[u8]) -> Vec<u8> {
    [writer::header(), variables.to_vec()].concat()
}

fn packed(variable: &[u8]) -> Vec<u8> {
    let packed = writer::pack(variable);
    let mut bytes = [15u32.to_le_bytes(), (packed.len() as u32).to_le_bytes()].concat();
    bytes.extend(packed);
    plain(&bytes)
}

fn unpacked(file: &[u8]) -> Vec<u8> {
    let mut left = MOST_UNPACKED;
    let buffer = elements::unpack(&file[HEADER_BYTES + 8..], Order::Little, &mut left);
    let buffer = buffer.map_err(|problem| problem.what).unwrap();
    buffer.bytes(buffer.whole()).to_vec()
}

/// The metadata of faces by formula, as IMDB-WIKI has it.
fn faces(rows: usize) -> Array {
    let row = |formula: &dyn Fn(usize) -> f64| -> Array {
        let values: Vec<f64> = (0..rows).map(formula).collect();
        Array::packed_doubles(&[1, rows], &values)
    };
    let cells = |formula: &dyn Fn(usize) -> Array| -> Array {
        Array::cells(&[1, rows], (0..rows).map(formula).collect())
    };
    let face =
        |index: usize| Array::packed_doubles(&[1, 4], &[1.0, index as f64 + 0.5, 30.0, 40.0]);
    Array::structure(vec![
        ("dob", row(&|index| 700_000.0 + index as f64)),
        ("photo_taken", row(&|index| 1990.0 + index as f64)),
        (
            "full_path",
            cells(&|index| Array::text(&format!("{:02}/{index}_1.jpg", index % 100))),
        ),
        ("gender", row(&|index| [0.0, 1.0, f64::NAN][index % 3])),
        (
            "name",
            cells(&|index| Array::text(["", "Ann", "Bo J\u{e4}rvi", "\u{1f600}!"][index % 4])),
        ),
        ("face_location", cells(&face)),
    ])
}

/// Looks at everything; gives how many arrays there are.
fn walk(value: &Value) -> usize {
    assert!(value.place().starts_with("x.mat: "));
    let children = match value.content() {
        Content::Numbers(numbers) => {
            assert_eq!(numbers.values().len(), numbers.len());
            assert_eq!(numbers.dims().iter().product::<usize>(), numbers.len());
            0
        }
        Content::Text(text) => {
            let rows = text.rows().len();
            assert!(rows == 0 || rows == text.dims()[0]);
            assert!(value.text().is_ok() || rows > 1);
            0
        }
        Content::Cells(cells) => cells.iter().map(|cell| walk(&cell.unwrap())).sum(),
        Content::Structs(structs) => (0..structs.len() * structs.names().len())
            .map(|at| {
                let (index, field) = (at / structs.names().len(), at % structs.names().len());
                walk(&structs.get(index, field).unwrap())
            })
            .sum(),
        Content::Unsupported(_) => 0,
    };
    children + 1
}

/// Runs `body` in a process of its own, and there in a thread with a small stack. The process may take 600 MiB
/// of addresses for it: an allocation counts even if nothing is written there. `name` is that of the test.
fn in_little_memory(name: &str, body: impl FnOnce() + Send) {
    const INSIDE: &str = "MATLAB_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        let before = most_addresses();
        let outcome = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, body).unwrap().join()
        });
        outcome.expect("see the message above");
        let taken = most_addresses() - before;
        assert!(taken < 600 << 10, "{taken} KiB");
        return;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The most addresses that this process ever had, in KiB; 0 where Linux does not tell it.
fn most_addresses() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmPeak:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.map_or(0, |number| number.parse().unwrap())
}

/// The values in `matlab_make.py`, which scipy wrote.
#[test]
fn files_of_scipy_have_their_values() {
    for bytes in [PLAIN, PACKED] {
        let file = parsed(bytes);
        let check = |name: &str, dims: &[usize], class: Class, expected: &[f64]| {
            let numbers = file.get(name).unwrap().numbers().unwrap();
            assert_eq!((numbers.dims(), numbers.class()), (dims, class), "{name}");
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&numbers.values()), bits(expected), "{name}");
        };
        let doubles = [-0.5, 0.25, -0.25, 0.5, 0.0, 0.75];
        check("doubles", &[2, 3], Class::Double, &doubles);
        check("singles", &[1, 3], Class::Single, &[0.0, 0.125, 0.25]);
        let cube = |at: usize| (at % 2 * 12 + at / 2 % 3 * 4 + at / 6) as f64;
        check(
            "cube",
            &[2, 3, 4],
            Class::Int16,
            &(0..24).map(cube).collect::<Vec<_>>(),
        );
        check("logicals", &[1, 3], Class::Logical, &[1.0, 0.0, 1.0]);
        check("hollow", &[0, 3], Class::Double, &[]);
        check(
            "odd",
            &[1, 3],
            Class::Double,
            &[f64::NAN, f64::INFINITY, -0.0],
        );
        check("int8", &[1, 3], Class::Int8, &[-128.0, 7.0, 127.0]);
        check("uint8", &[1, 3], Class::Uint8, &[0.0, 7.0, 255.0]);
        check("int16", &[1, 3], Class::Int16, &[-32768.0, 7.0, 32767.0]);
        check("uint16", &[1, 3], Class::Uint16, &[0.0, 7.0, 65535.0]);
        check(
            "int32",
            &[1, 3],
            Class::Int32,
            &[-2147483648.0, 7.0, 2147483647.0],
        );
        check("uint32", &[1, 3], Class::Uint32, &[0.0, 7.0, 4294967295.0]);
        let power = |exponent: i32| 2f64.powi(exponent);
        check(
            "int64",
            &[1, 3],
            Class::Int64,
            &[-power(63), 7.0, power(63)],
        );
        check("uint64", &[1, 3], Class::Uint64, &[0.0, 7.0, power(64)]);

        let text = |name: &str| file.get(name).unwrap().text().unwrap();
        assert_eq!(text("text"), "voxel");
        assert_eq!(text("wide"), "J\u{e4}rvi \u{1f600}!");
        assert_eq!(text("nothing"), "");
        let Content::Text(rows) = file.get("rows").unwrap().content() else {
            panic!("rows");
        };
        assert_eq!(
            (rows.dims(), rows.rows()),
            (&[2, 3][..], vec!["ab ".into(), "cde".into()])
        );

        let cells = file.get("cells").unwrap();
        assert_eq!(cells.cells().unwrap().dims(), [2, 2]);
        assert_eq!(cells.cell(0).unwrap().text().unwrap(), "a/b.jpg");
        assert_eq!(
            cells.cell(1).unwrap().numbers().unwrap().values(),
            [1.5, 2.5]
        );
        assert_eq!(cells.cell(2).unwrap().numbers().unwrap().dims(), [0, 0]);
        let inner = cells.cell(3).unwrap();
        assert_eq!(inner.cell(0).unwrap().text().unwrap(), "inner");
        assert_eq!(inner.cell(1).unwrap().numbers().unwrap().values(), [3.0]);

        let person = file.get("person").unwrap();
        assert_eq!(person.structs().unwrap().names(), ["age", "tags", "inner"]);
        assert_eq!(
            person.field("age").unwrap().numbers().unwrap().values(),
            [20.0]
        );
        assert_eq!(person.field("tags").unwrap().texts().unwrap(), ["x", "yz"]);
        let deep = person.field("inner").unwrap().field("deep").unwrap();
        assert_eq!(deep.numbers().unwrap().values(), [1.0, 2.0]);
        let people = file.get("people").unwrap().structs().unwrap();
        assert_eq!((people.dims(), people.len()), (&[1, 2][..], 2));
        assert_eq!(people.field(0, "name").unwrap().text().unwrap(), "Ann");
        let age = people.field(1, "age").unwrap();
        assert_eq!(age.numbers().unwrap().values(), [41.5, 42.5]);
        assert_eq!(age.place(), "x.mat: people(2).age");

        for (name, what) in [
            ("complex", "an array of complex numbers"),
            ("sparse", "a sparse matrix"),
            ("object", "an object"),
        ] {
            let value = file.get(name).unwrap();
            assert!(matches!(value.content(), Content::Unsupported(said) if *said == what));
            let said = said(value.numbers());
            assert!(
                said.starts_with(&format!("x.mat: {name}: it is {what}, expected numbers")),
                "{said}"
            );
        }
        assert_eq!(file.iter().count(), 24);
    }
}

#[test]
fn big_endian_files_have_their_values() {
    let file = parsed(BIG_ENDIAN);
    let values = |name: &str| file.get(name).unwrap().numbers().unwrap().values();
    assert_eq!(values("doubles"), [1.5, -2.5, 1e300, 0.1]);
    assert_eq!(values("years"), [1899.0, 2016.0, 65535.0]);
    assert_eq!(
        file.get("years").unwrap().numbers().unwrap().class(),
        Class::Double
    );
    assert_eq!(values("single"), [0.75]);
    assert_eq!(values("longs"), [-(2f64.powi(40)), 5.0]);
    let faces = file.get("faces").unwrap();
    let field = |name: &str| faces.field(name).unwrap();
    assert_eq!(field("year").numbers().unwrap().values(), [-2.0]);
    assert_eq!(
        field("face").cell(0).unwrap().numbers().unwrap().values(),
        [1.0, 2.0, 3.0, 250.0]
    );
    assert_eq!(field("face").cell(1).unwrap().text().unwrap(), "");
    assert_eq!(field("name").text().unwrap(), "J\u{e4}rvi");
    assert_eq!(field("flag").numbers().unwrap().class(), Class::Logical);
}

#[test]
fn what_is_written_is_read_again() {
    let row =
        |class: fn(&[usize], &[f64]) -> Array, values: &[f64]| class(&[1, values.len()], values);
    let packed = [
        (&[0.0, 255.0][..], Stored::U8),
        (&[-128.0, 127.0], Stored::I8),
        (&[0.0, 256.0], Stored::U16),
        (&[-129.0, 5.0], Stored::I16),
        (&[-1.0, 32768.0], Stored::I32),
        (&[-2147483648.0, 2147483647.0], Stored::I32),
        (&[2147483648.0], Stored::F64),
        (&[0.5], Stored::F64),
        (&[-0.0], Stored::F64),
        (&[f64::NAN], Stored::F64),
        (&[f64::INFINITY], Stored::F64),
    ];
    for (values, stored) in packed {
        let file = parsed(&encode(&[("x", row(Array::packed_doubles, values))]));
        let numbers = file.get("x").unwrap().numbers().unwrap();
        assert_eq!(numbers.stored, stored, "{values:?}");
        assert_eq!(numbers.class(), Class::Double);
        assert_eq!(format!("{:?}", numbers.values()), format!("{values:?}"));
    }
    let variables = || {
        [
            (
                "instance",
                Array::int8s(&[2, 1, 3], &[0, 1, -1, 127, -128, 5]),
            ),
            ("plain", row(Array::doubles, &[1.0, 2.0])),
            ("bytes", Array::uint8s(&[1, 2], &[0, 255])),
            ("years", Array::uint16s(&[2, 1], &[1899, 65535])),
            ("none", Array::cells(&[0, 0], Vec::new())),
            ("bare", Array::structure(Vec::new())),
            ("wiki", faces(5)),
        ]
    };
    let file = encode(&variables());
    assert_eq!(file, encode(&variables()));
    let file = parsed(&file);
    let numbers = |name: &str| file.get(name).unwrap().numbers().unwrap().clone();
    let instance = numbers("instance");
    assert_eq!(
        (instance.dims(), instance.class()),
        (&[2, 1, 3][..], Class::Int8)
    );
    assert_eq!(instance.values(), [0.0, 1.0, -1.0, 127.0, -128.0, 5.0]);
    assert_eq!(
        (numbers("plain").stored, numbers("plain").values()),
        (Stored::F64, vec![1.0, 2.0])
    );
    assert_eq!(
        (numbers("bytes").class(), numbers("bytes").values()),
        (Class::Uint8, vec![0.0, 255.0])
    );
    assert_eq!(
        (numbers("years").class(), numbers("years").values()),
        (Class::Uint16, vec![1899.0, 65535.0])
    );
    assert!(file.get("none").unwrap().cells().unwrap().is_empty());
    assert!(
        file.get("bare")
            .unwrap()
            .structs()
            .unwrap()
            .names()
            .is_empty()
    );
    let wiki = file.get("wiki").unwrap();
    let nobody = wiki.field("name").unwrap().cell(0).unwrap();
    assert!(matches!(nobody.content(), Content::Text(text) if text.dims() == [0, 0]));
    assert_eq!(
        wiki.field("full_path").unwrap().texts().unwrap()[4],
        "04/4_1.jpg"
    );
    assert_eq!(
        wiki.field("name").unwrap().texts().unwrap(),
        ["", "Ann", "Bo J\u{e4}rvi", "\u{1f600}!", ""]
    );
    let face = wiki.field("face_location").unwrap().cell(3).unwrap();
    assert_eq!(face.numbers().unwrap().values(), [1.0, 3.5, 30.0, 40.0]);
    assert_eq!(face.place(), "x.mat: wiki.face_location{4}");
}

#[test]
fn files_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("chair.mat");
    let chair = || [("instance", Array::int8s(&[1, 2], &[0, 1]))];
    write(&place, &chair()).unwrap();
    assert_eq!(std::fs::read(&place).unwrap(), encode(&chair()));
    let file = read(&place).unwrap();
    assert_eq!(
        file.get("instance").unwrap().numbers().unwrap().values(),
        [0.0, 1.0]
    );
    let error = file.get("voxels").unwrap_err().to_string();
    assert!(
        error.contains("chair.mat: it has no variable voxels, but instance;"),
        "{error}"
    );
    assert_eq!(exit_code(&write(folder.path(), &chair()).unwrap_err()), 6);
    assert_eq!(exit_code(&read(folder.path()).unwrap_err()), 3);
    assert_eq!(
        exit_code(&read(&folder.path().join("none")).unwrap_err()),
        3
    );
}

/// The bytes that MATLAB wrote at the start of each file of 3D-ShapeNets, once unpacked:
/// `zlib.decompress(open("chair_000000005_3.mat", "rb").read()[136:])[:80].hex()`
#[test]
fn voxels_are_written_as_matlab_wrote_them() {
    let expected = "0e000000b86900000600000008000000080000000000000005000000\
                    0c0000001e0000001e0000001e000000000000000100000008000000\
                    696e7374616e636501000000786900000000000000000000";
    let file = encode(&[("instance", Array::int8s(&[30; 3], &[0; 27_000]))]);
    let bytes = unpacked(&file);
    let hex: String = bytes[..80]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!((hex.as_str(), bytes.len()), (expected, 27_072));
    assert!(file.starts_with(b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: "));
    assert_eq!(&file[116..128], b"\0\0\0\0\0\0\0\0\0\x01IM");
}

/// Small elements, padding and the names of fields, and a text in UTF-16; scipy reads it back:
/// `scipy.io.loadmat("s.mat")["s"][0, 0]` is `([[1, 2]], [[array(['ä'])]])`.
#[test]
fn structures_are_written_as_literal_bytes() {
    let cells = Array::cells(&[1, 1], vec![Array::text("\u{e4}")]);
    let s = Array::structure(vec![
        ("ab", Array::packed_doubles(&[1, 2], &[1.0, 2.0])),
        ("c", cells),
    ]);
    let expected = "0e000000 e0000000 \
        06000000 08000000 02000000 00000000 05000000 08000000 01000000 01000000 01000100 73000000 \
        05000400 03000000 01000000 06000000 61620063 00000000 \
        0e000000 30000000 06000000 08000000 06000000 00000000 05000000 08000000 01000000 02000000 \
        01000000 00000000 02000200 01020000 \
        0e000000 60000000 06000000 08000000 01000000 00000000 05000000 08000000 01000000 01000000 \
        01000000 00000000 \
        0e000000 30000000 06000000 08000000 04000000 00000000 05000000 08000000 01000000 01000000 \
        01000000 00000000 11000200 e4000000"
        .replace(' ', "");
    let bytes = unpacked(&encode(&[("s", s)]));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

#[test]
fn characters_are_read_in_every_coding() {
    let text = |dims: &[i32], kind: u32, bytes: &[u8]| {
        let file = parsed(&plain(&array(CHAR, dims, "x", &element(kind, bytes))));
        match file.get("x").unwrap().content() {
            Content::Text(text) => text.rows(),
            _ => panic!("no text"),
        }
    };
    assert_eq!(text(&[1, 2], 2, b"\xe4b"), ["\u{e4}b"]);
    assert_eq!(text(&[1, 2], 1, b"ab"), ["ab"]);
    assert_eq!(text(&[1, 2], 4, b"\xe4\0b\0"), ["\u{e4}b"]);
    assert_eq!(text(&[1, 2], 18, b"\xe4\0\0\0b\0\0\0"), ["\u{e4}b"]);
    // Counted as characters, as units of 16 bits, and as bytes.
    for dims in [[1, 1], [1, 2], [1, 4]] {
        assert_eq!(text(&dims, 16, "\u{1f600}".as_bytes()), ["\u{1f600}"]);
    }
    for dims in [[1, 1], [1, 2]] {
        assert_eq!(text(&dims, 17, b"\x3d\xd8\0\xde"), ["\u{1f600}"]);
    }
    // Rows that are columns in the file, with a pair of units in each, or a character that is a pair.
    assert_eq!(
        text(&[2, 2], 17, b"\x3d\xd8a\0\0\xdeb\0"),
        ["\u{1f600}", "ab"]
    );
    assert_eq!(
        text(&[2, 2], 16, "\u{1f600}abc".as_bytes()),
        ["\u{1f600}b", "ac"]
    );
    assert_eq!(text(&[2, 1, 2], 16, b"abcd"), ["ac", "bd"]);
    // What is no character, and a claim without one, which MATLAB wrote itself.
    assert_eq!(text(&[1, 2], 16, b"\x80b"), ["\u{fffd}b"]);
    assert_eq!(text(&[1, 1], 17, b"\0\xd8"), ["\u{fffd}"]);
    assert!(text(&[1, 1], 4, b"").is_empty() && text(&[5, 0], 4, b"").is_empty());
    for (dims, kind, bytes) in [
        ([1, 3], 16, &b"ab"[..]),
        ([2, 2], 16, "\u{e4}\u{e4}".as_bytes()),
        ([1, 1], 17, b"a\0b\0"),
        ([1, 3], 4, b"a\0b\0c"),
        ([1, 2], 9, b"01234567"),
    ] {
        let said = refused(&plain(&array(CHAR, &dims, "x", &element(kind, bytes))));
        assert!(said.contains("x.mat: x: its "), "{said}");
    }
}

#[test]
fn what_is_not_decoded_is_there_by_name() {
    let opaque = [
        element(6, &[17, 0, 0, 0, 0, 0, 0, 0]),
        element(1, b"table"),
        element(1, b"MCOS"),
        element(1, b"string"),
        numbers(""),
    ];
    let file = parsed(&plain(
        &[
            element(14, &opaque.concat()),
            array(16, &[1, 1], "handle", &numbers("")),
            array(3, &[1, 1], "object", b"anything"),
            array(CELL, &[1, 1], "cell", &array(5, &[3, 3], "", &[])),
            array(
                0x800 | DOUBLE,
                &[1, 1],
                "complex",
                &element(9, &[0; 8]).repeat(2),
            ),
            numbers("after"),
            numbers(""),
        ]
        .concat(),
    ));
    let is_unsupported = |value: &Value| matches!(value.content(), Content::Unsupported(_));
    let found: Vec<(&str, bool)> = file
        .iter()
        .map(|(name, value)| (name, is_unsupported(value)))
        .collect();
    let expected = [
        ("table", true),
        ("handle", true),
        ("object", true),
        ("cell", false),
        ("complex", true),
        ("after", false),
        ("__function_workspace__", true),
    ];
    assert_eq!(found, expected);
    assert!(is_unsupported(&file.get("cell").unwrap().cell(0).unwrap()));
}

#[test]
fn messages_name_the_place_and_what_is_there() {
    let twice = [
        element(5, &[2, 0, 0, 0]),
        element(1, b"a\0a\0"),
        numbers(""),
        numbers(""),
    ]
    .concat();
    let bytes = [
        plain(&numbers("x")),
        numbers("y"),
        numbers("y"),
        array(STRUCT, &[1, 1], "s", &twice),
        array(CELL, &[1, 1], "c", &numbers("")),
    ];
    let file = parsed(&bytes.concat());
    let [x, s, c] = ["x", "s", "c"].map(|name| file.get(name).unwrap());
    for (said, expected) in [
        (
            said(file.get("y")),
            "x.mat: it has more than one variable y, but x, y, y, s, c; check",
        ),
        (
            said(x.text()),
            "x.mat: x: it is a 1x2 array of class int8, expected one row of characters; check",
        ),
        (said(x.cells()), "expected a cell array"),
        (said(x.field("a")), "expected a structure"),
        (
            said(s.field("a")),
            "x.mat: s: it needs one field a, but has a, a; check",
        ),
        (said(s.field("b")), "x.mat: s: it needs one field b"),
        (
            said(s.structs().unwrap().field(1, "a")),
            "x.mat: s: it needs one field a",
        ),
        (
            said(s.structs().unwrap().get(1, 0)),
            "x.mat: s: it has no part 3",
        ),
        (said(c.cell(1)), "x.mat: c: it has no part 2; check"),
        (
            said(c.texts()),
            "x.mat: c{1}: it is a 1x2 array of class int8",
        ),
        (said(c.cell(0).unwrap().text()), "x.mat: c{1}: "),
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let cut = array(
        CELL,
        &[1, 2],
        "",
        &[numbers(""), array(INT8, &[1, 3], "", &element(1, &[1, 2]))].concat(),
    );
    let fields = [element(5, &[4, 0, 0, 0]), element(1, b"abc\0def\0")].concat();
    let single = [fields.clone(), numbers(""), cut.clone()].concat();
    let single = refused(&plain(&array(STRUCT, &[1, 1], "s", &single)));
    assert!(
        single.starts_with("x.mat: s.def{2}: its dimensions"),
        "{single}"
    );
    let values = [numbers(""), numbers(""), numbers(""), cut].concat();
    let said = refused(&plain(&array(
        STRUCT,
        &[1, 2],
        "s",
        &[fields, values].concat(),
    )));
    let expected = "x.mat: s(2).def{2}: its dimensions claim 3 numbers of 1 bytes, its data has 2 bytes; the file \
                    is damaged or incomplete: download it again";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn other_files_are_named() {
    let hdf5 = b"\x89HDF\r\n\x1a\n";
    let header = writer::header();
    let mut level_7 = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".to_vec();
    level_7.resize(512, b' ');
    level_7.extend(hdf5);
    // `scipy.io.savemat(place, {"a": 1.5}, format="4")`
    let level_4 = b"\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0a\0\0\0\0\0\0\0\xf8\x3f";
    let level_4_big = b"\0\0\x03\xe8\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02a\0\x3f\xf8\0\0\0\0\0\0";
    let mut other_version = header.clone();
    other_version[125] = 2;
    for (bytes, expected) in [
        (&level_7[..], "MATLAB 7.3 file (HDF5)"),
        (b"MATLAB 7.3 MAT-file", "MATLAB 7.3 file (HDF5)"),
        (hdf5, "save -v7"),
        (
            &[&[0; 512][..], hdf5].concat(),
            "save it again with save -v7",
        ),
        (
            level_4,
            "level 4, which is not read here; load it in MATLAB and save it again with save -v7",
        ),
        (level_4_big, "level 4"),
        (b"", "no MATLAB file of level 5 by its content"),
        (&[0; 4096], "no MATLAB file of level 5 by its content"),
        (
            b"<!DOCTYPE html><html>",
            "no MATLAB file of level 5 by its content",
        ),
        (
            &header[..100],
            "header of 128 bytes is damaged or cut short",
        ),
        (
            &other_version,
            "header of 128 bytes is damaged or cut short",
        ),
    ] {
        let said = refused(bytes);
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(parsed(&header).iter().count(), 0);
    assert!(said(parsed(&header).get("x")).contains("no variable x, but none at all"));
}

/// Claims that are not true, each of which must be refused before anything is made of it.
#[test]
fn lies_are_refused() {
    in_little_memory("lies_are_refused", || {
        let x = |rest: &[u8]| plain(&array(INT8, &[1, 2], "x", rest));
        let dims = |dims: &[i32]| plain(&array(INT8, dims, "x", &element(1, &[1, 2])));
        let fields = |count: i32, length: i32, names: &[u8], rest: &[u8]| {
            let length = element(5, &length.to_le_bytes());
            let rest = [length, element(1, names), rest.to_vec()].concat();
            plain(&array(STRUCT, &[1, count], "s", &rest))
        };
        let cells = |count: i32, rest: &[u8]| plain(&array(CELL, &[1, count], "c", rest));
        let with = |file: Vec<u8>, rest: &[u8]| [file, rest.to_vec()].concat();
        let raw_packed =
            |bytes: &[u8]| plain(&claiming(15, bytes.len() as u32, bytes)[..8 + bytes.len()]);
        let mut wrong_sum = encode(&[("x", Array::int8s(&[1, 2], &[1, 2]))]);
        *wrong_sum.last_mut().unwrap() ^= 1;
        let cut = encode(&[("x", Array::int8s(&[1, 9], &[7; 9]))]);
        let cut = raw_packed(&cut[HEADER_BYTES + 8..cut.len() - 9]);
        let trailing = with(writer::pack(&numbers("x")), &[0; 8]);
        let tag = |kind: u32, length: u32| [kind.to_le_bytes(), length.to_le_bytes()].concat();
        let mut random = SplitMix(0);
        let noise: Vec<u8> = (0..1 << 20).map(|_| random.next() as u8).collect();
        let zeros = vec![0; 64 << 20];

        let evil: Vec<(Vec<u8>, &str)> = vec![
            // Lengths.
            (
                plain(&claiming(14, u32::MAX, &[0; 56])),
                "claims 4294967295 bytes where 56 are left",
            ),
            (
                plain(&claiming(15, u32::MAX - 7, &[0; 56])),
                "claims 4294967288 bytes where 56 are left",
            ),
            (
                plain(&[14, 0, 0, 0]),
                "4 bytes are left where another element is expected",
            ),
            (
                plain(&tag(14 | 5 << 16, 0)),
                "claims 5 bytes, of which four have room",
            ),
            (plain(&tag(9, 0)), "type 9 stands where an array"),
            (plain(&tag(14, 0)), "neither a name nor data"),
            (packed(&tag(14, 0)), "neither a name nor data"),
            (
                plain(&element(14, &element(6, &[6, 0, 0, 0, 0, 0, 0, 0]))),
                "its dimensions are missing",
            ),
            (
                plain(&element(14, &element(9, &[6, 0, 0, 0, 0, 0, 0, 0]))),
                "its flags are stored as type 9",
            ),
            (
                plain(&array(0, &[1, 1], "x", &[])),
                "class 0, which does not exist",
            ),
            (plain(&array(19, &[1, 1], "x", &[])), "class 19"),
            (
                x(&claiming(1, u32::MAX, &[0; 8])),
                "its data is missing: an element claims 4294967295 bytes",
            ),
            (
                x(&element(1, &[1; 3])),
                "claim 2 numbers of 1 bytes, its data has 3 bytes",
            ),
            (
                x(&element(8, &[1, 2])),
                "stored as type 8, which is no number",
            ),
            (
                x(&element(14, &[1, 2])),
                "stored as type 14, which is no number",
            ),
            (
                x(&[element(1, &[1, 2]), numbers("")].concat()),
                "64 bytes follow its data",
            ),
            (x(&[]), "its data is missing"),
            // Dimensions.
            (dims(&[-1, 2]), "a dimension is -1"),
            (dims(&[i32::MIN, 0]), "a dimension is -2147483648"),
            (dims(&[i32::MAX; 8]), "multiply to an absurd number"),
            (
                dims(&[1 << 16, 1 << 16, 1 << 16, 1 << 16]),
                "multiply to an absurd number",
            ),
            (
                dims(&[1 << 16, 1 << 15]),
                "it has 2147483648 numbers; at most",
            ),
            (
                dims(&[1 << 13, 1 << 13]),
                "claim 67108864 numbers of 1 bytes, its data has 2 bytes",
            ),
            (dims(&[0, i32::MAX]), "claim 0 numbers"),
            (dims(&[]), "its dimensions take 0 bytes"),
            (dims(&[1; 33]), "its dimensions take 132 bytes"),
            (
                plain(&array(CHAR, &[1 << 12, 1 << 12], "x", &element(16, b"ab"))),
                "it has 16777216 characters",
            ),
            (
                plain(&array(CHAR, &[1, i32::MAX], "x", &element(16, b"ab"))),
                "at most 4194304",
            ),
            (
                plain(&array(CHAR, &[1, 1], "x", &element(16, &[b'a'; 4096]))),
                "claim 1 characters",
            ),
            // Names.
            (
                plain(&array(
                    INT8,
                    &[1, 2],
                    &"n".repeat(256),
                    &element(1, &[1, 2]),
                )),
                "its name has 256 bytes",
            ),
            (
                fields(1, 0, b"abc\0", &numbers("")),
                "are 0 bytes long each",
            ),
            (fields(1, 1, b"\0\0", &numbers("")), "are 1 bytes long each"),
            (fields(1, -5, b"abc\0", &numbers("")), "bytes long each"),
            (fields(1, 4, b"\0bc\0", &numbers("")), "a field has no name"),
            (
                fields(1, 4, b"abc\0d", &numbers("")),
                "expected a multiple of 4",
            ),
            (
                fields(1, 2, &b"a\0".repeat(4097), &[]),
                "at most 4096 names",
            ),
            (
                fields(i32::MAX, 4, b"abc\0def\0", &numbers("")),
                "claims 2147483647 cells or structures",
            ),
            (
                fields(i32::MAX, 4, b"", b""),
                "claims 2147483647 structures without fields",
            ),
            (
                fields(1, 4, b"abc\0", &[]),
                "claims 1 cells or structures, for which 0 bytes are too few",
            ),
            // Cells.
            (
                cells(i32::MAX, &numbers("")),
                "claims 2147483647 cells or structures, for which 64 bytes are too few",
            ),
            (
                cells(2, &element(14, &[])),
                "claims 2 cells or structures, for which 8 bytes are too few",
            ),
            (cells(2, &numbers("")), "part 2 of 2: 0 bytes are left"),
            (
                cells(1, &numbers("").repeat(2)),
                "64 bytes follow its 1 cells or fields",
            ),
            (
                cells(1, &claiming(14, 64, &numbers("")[8..])),
                "claims 64 bytes where 56 are left",
            ),
            (
                cells(1, &element(15, &writer::pack(&numbers("")))),
                "packed data lies in another array",
            ),
            // Packed.
            (raw_packed(&[7; 60]), "its packed data is damaged"),
            (raw_packed(&[]), "its packed data"),
            (
                raw_packed(&writer::pack(&[])),
                "ends before an array begins",
            ),
            (
                packed(&packed(&numbers("x"))[HEADER_BYTES..]),
                "packed data holds packed data",
            ),
            (packed(&element(9, &[0; 8])), "begins with type 9"),
            (
                packed(&claiming(14, 72, &numbers("x")[8..])),
                "ends after 72 of 80 bytes",
            ),
            (
                packed(&[numbers("x"), numbers("y")].concat()),
                "goes on after the 72 bytes",
            ),
            (
                packed(&[numbers("x"), vec![1]].concat()),
                "goes on after the 72 bytes",
            ),
            (raw_packed(&trailing), "goes on after the 72 bytes"),
            (
                packed(&claiming(14, u32::MAX, &[0; 64])),
                "claim to be 4294967303; at most",
            ),
            (
                packed(&claiming(14, 900 << 20, &zeros)),
                "claim to be 943718408; at most 1100 times",
            ),
            (
                packed(&claiming(14, 70_000_000, &zeros)),
                "ends after 67108872 of 70000008 bytes",
            ),
            (
                packed(&claiming(14, 64, &zeros)),
                "goes on after the 72 bytes",
            ),
            (wrong_sum, "its packed data is damaged"),
            (cut, "its packed data"),
            (
                packed(&claiming(14, (1 << 30) - 16, &noise)),
                "ends after 1048584 of 1073741816 bytes",
            ),
            (
                packed(&[numbers("x"), vec![0; 8]].concat()),
                "goes on after the 72 bytes",
            ),
        ];
        for (index, (bytes, expected)) in evil.iter().enumerate() {
            let said = refused(bytes);
            assert!(
                said.contains(expected),
                "{index}: expected {expected:?}: {said}"
            );
        }
        // A little padding is no lie.
        let padded = [numbers("x"), vec![0; 7]].concat();
        parsed(&packed(&padded)).get("x").unwrap();
        parsed(&raw_packed(&[writer::pack(&padded), vec![0; 7]].concat()));
        parsed(&plain(&array(
            INT8,
            &[0, i32::MAX, i32::MAX, i32::MAX],
            "x",
            &element(1, &[]),
        )));
    });
}

#[test]
fn cells_in_cells_end_somewhere() {
    in_little_memory("cells_in_cells_end_somewhere", || {
        let nested = |levels: usize| {
            let level = head(CELL, &[1, 1], "");
            let mut bytes = Vec::new();
            for index in 0..levels {
                let inside = (levels - index) * (level.len() + 8) - 8;
                bytes.extend([14u32.to_le_bytes(), (inside as u32 + 8).to_le_bytes()].concat());
                bytes.extend(&level);
            }
            bytes.extend(element(14, &[]));
            plain(&array(CELL, &[1, 1], "c", &bytes))
        };
        // The variable itself and what it holds in the end are two of them.
        assert_eq!(walk(parsed(&nested(15)).get("c").unwrap()), 17);
        for levels in [16, 100_000] {
            let said = refused(&nested(levels));
            assert!(
                said.contains("c{1}{1}{1}") && said.contains("16 deep"),
                "{said}"
            );
        }
    });
}

#[test]
fn limits_hold_for_the_file_as_a_whole() {
    let cells = array(CELL, &[1, 3], "c", &element(14, &[]).repeat(3));
    let buffer = Buffer::new(cells, Order::Little);
    let (body, _) = buffer
        .array(buffer.whole())
        .map_err(|problem| problem.what)
        .unwrap();
    let mut left = 5;
    assert!(buffer.check(body, 0, &mut left).is_ok() && left == 1);
    let problem = buffer.check(body, 0, &mut left).unwrap_err();
    assert!(problem.what.contains("more than 16777216 cells and fields"));
    let packed = writer::pack(&numbers("x"));
    let mut left = 100;
    assert!(elements::unpack(&packed, Order::Little, &mut left).is_ok() && left == 28);
    assert!(elements::unpack(&packed, Order::Little, &mut left).is_err());
    let many = numbers("x").repeat(MOST_VARIABLES + 1);
    assert!(refused(&plain(&many)).contains("more than 65536 variables"));
    assert_eq!(parsed(&plain(&many[72..])).iter().count(), MOST_VARIABLES);
}

/// The SplitMix64 generator.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// 3,000 files with flipped bits, 3,000 with words of size, and 3,000 that are cut, each.
fn survives_damage(seed: u64, whole: &[u8], finish: impl Fn(Vec<u8>) -> Vec<u8>) -> usize {
    let mut random = SplitMix(seed);
    let mut taken = 0;
    for case in 0..9000 {
        let mut bytes = whole.to_vec();
        match case % 3 {
            0 => {
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            1 => {
                let at = random.below(bytes.len() / 4) * 4;
                let word = [
                    0,
                    1,
                    7,
                    8,
                    14,
                    15,
                    256,
                    0x10001,
                    0x4_0002,
                    i32::MAX as u32,
                    u32::MAX - 7,
                    u32::MAX,
                ];
                bytes[at..at + 4].copy_from_slice(&word[random.below(12)].to_le_bytes());
            }
            _ => bytes.truncate(random.below(bytes.len())),
        }
        let bytes = finish(bytes);
        let outcome = catch_unwind(AssertUnwindSafe(|| match parse(bytes, "x.mat") {
            Ok(file) => {
                file.iter().for_each(|(_, value)| assert!(walk(value) > 0));
                true
            }
            Err(error) => {
                assert_eq!(exit_code(&error), 3, "{error}");
                assert!(error.to_string().starts_with("x.mat: "), "{error}");
                false
            }
        }));
        taken += usize::from(outcome.unwrap_or_else(|_| panic!("case {case}")));
    }
    assert!(taken > 50 && taken < 8950, "{taken} were taken");
    taken
}

#[test]
fn damaged_packed_numbers_are_survived() {
    in_little_memory("damaged_packed_numbers_are_survived", || {
        let voxels: Vec<i8> = (0..512).map(|at| i8::from(at % 7 < 3)).collect();
        let file = encode(&[("instance", Array::int8s(&[8, 8, 8], &voxels))]);
        survives_damage(1, &file, |bytes| bytes);
    });
}

#[test]
fn damaged_plain_numbers_are_survived() {
    in_little_memory("damaged_plain_numbers_are_survived", || {
        let mut element = Vec::new();
        Array::doubles(&[2, 3], &[1.0, 2.5, -3.0, f64::NAN, 0.0, 6.0]).element("x", &mut element);
        Array::packed_doubles(&[2, 2], &[1.0, 2.0, -3.0, 4.0]).element("y", &mut element);
        survives_damage(2, &plain(&element), |bytes| bytes);
    });
}

#[test]
fn damaged_structures_are_survived() {
    in_little_memory("damaged_structures_are_survived", || {
        let mut element = Vec::new();
        faces(3).element("wiki", &mut element);
        survives_damage(3, &plain(&element), |bytes| bytes);
        // Below the check sum, too.
        survives_damage(4, &element, |bytes| packed(&bytes));
        survives_damage(5, &encode(&[("wiki", faces(3))]), |bytes| bytes);
    });
}

#[test]
fn damaged_files_of_others_are_survived() {
    in_little_memory("damaged_files_of_others_are_survived", || {
        survives_damage(6, PLAIN, |bytes| bytes);
        survives_damage(7, PACKED, |bytes| bytes);
        survives_damage(8, BIG_ENDIAN, |bytes| bytes);
    });
}

fn real(place: &str) -> Option<PathBuf> {
    let place = PathBuf::from(std::env::var_os("GAN_DATA")?).join(place);
    place.exists().then_some(place)
}

/// The real metadata, where it is. The values are those of `scipy.io.loadmat(place)["wiki"][0, 0]`.
#[test]
fn the_metadata_of_wikipedia_is_read_and_written_as_it_was() {
    let Some(place) = real("wiki_crop/wiki.mat") else {
        return;
    };
    let file = read(&place).unwrap();
    let wiki = file.get("wiki").unwrap();
    let names = [
        "dob",
        "photo_taken",
        "full_path",
        "gender",
        "name",
        "face_location",
        "face_score",
        "second_face_score",
    ];
    assert_eq!(wiki.structs().unwrap().names(), names);
    let [born, taken, paths, gender, people, faces, score, second] =
        names.map(|name| wiki.field(name).unwrap());
    let row = |value: &Value| value.numbers().unwrap().values();
    assert_eq!(born.numbers().unwrap().dims(), [1, 62_328]);
    assert_eq!(row(&born)[..2], [723_671.0, 703_186.0]);
    assert_eq!(row(&born)[62_327], 713_846.0);
    assert_eq!((row(&taken)[0], row(&taken)[62_327]), (2009.0, 2008.0));
    assert_eq!(
        row(&gender).iter().filter(|value| value.is_nan()).count(),
        2643
    );
    assert_eq!(row(&score)[0], 4.3009623883308095);
    assert_eq!(
        row(&score)
            .iter()
            .filter(|value| value.is_infinite())
            .count(),
        18_016
    );
    assert!(row(&second)[0].is_nan() && row(&second)[1] == 1.9492479052091165);
    let (texts, persons) = (paths.texts().unwrap(), people.texts().unwrap());
    assert_eq!(texts[0], "17/10000217_1981-05-05_2009.jpg");
    assert_eq!(texts[62_327], "80/999980_1954-06-11_2008.jpg");
    assert_eq!(persons[0], "Sami Jauhoj\u{e4}rvi");
    assert_eq!(
        (persons[418].as_str(), persons[62_327].as_str()),
        ("", "Greta Van Susteren")
    );
    let places: Vec<Vec<f64>> = faces
        .cells()
        .unwrap()
        .iter()
        .map(|cell| row(&cell.unwrap()))
        .collect();
    assert_eq!(
        places[1],
        [
            252.48330229530742,
            126.68165114765371,
            354.5319259615696,
            228.73027481391588
        ]
    );

    // Written again, the variable has the very bytes that MATLAB gave it.
    let rows = |value: &Value| Array::packed_doubles(&[1, 62_328], &row(value));
    let cells = |cells: Vec<Array>| Array::cells(&[1, 62_328], cells);
    let text = |texts: &[String]| cells(texts.iter().map(|text| Array::text(text)).collect());
    let face = |place: &Vec<f64>| Array::packed_doubles(&[1, 4], place);
    let arrays = [
        rows(&born),
        rows(&taken),
        text(&texts),
        rows(&gender),
        text(&persons),
        cells(places.iter().map(face).collect()),
        rows(&score),
        rows(&second),
    ];
    let again = Array::structure(names.into_iter().zip(arrays).collect());
    let mut element = Vec::new();
    again.element("wiki", &mut element);
    let bytes = std::fs::read(&place).unwrap();
    assert!(element == unpacked(&bytes), "the bytes differ");
}

#[test]
fn voxels_of_chairs_are_read_and_written_as_they_were() {
    let Some(folder) = real("3d/volumetric_data/chair/30/test") else {
        return;
    };
    let place = folder.join("chair_000000005_3.mat");
    let file = read(&place).unwrap();
    let instance = file.get("instance").unwrap().numbers().unwrap();
    assert_eq!(
        (instance.dims(), instance.class()),
        (&[30, 30, 30][..], Class::Int8)
    );
    let voxels: Vec<i8> = instance.iter().map(|value| value as i8).collect();
    let bytes = std::fs::read(&place).unwrap();
    assert!(
        unpacked(&encode(&[("instance", Array::int8s(&[30; 3], &voxels))])) == unpacked(&bytes)
    );
}
