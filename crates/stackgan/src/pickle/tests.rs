use super::*;
use gan_core::failure::exit_code;
use gan_core::random::Stream;
use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

const NAMES: [&str; 4] = [
    "002.Laysan_Albatross/Laysan_Albatross_0002_1027",
    "back\\slash\nand line",
    "na\u{ef}ve \u{20ac} \u{1f426}",
    "",
];
const CLASSES: [i64; 7] = [1, 200, -7, 65_536, 1 << 31, -(1 << 40), 1 << 62];

fn fixtures() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/pickle"
    ))
}

fn fixture(name: &str) -> PathBuf {
    fixtures().join(format!("{name}.pickle"))
}

fn opened(bytes: &[u8]) -> Result<Opened> {
    parse(Cursor::new(bytes), bytes.len() as u64, "x.pickle")
}

fn said<T>(result: Result<T>) -> String {
    let error = result.map(|_| ()).unwrap_err();
    assert_eq!(exit_code(&error), 3, "{error}");
    let said = error.to_string();
    assert!(said.starts_with("x.pickle: "), "{said}");
    said
}

/// What the fixtures with arrays hold.
fn arrays() -> Vec<f32> {
    let array = |index: usize| (index..index + 10).map(|value| value as f32 / 4.0 - 2.0);
    (0..3).flat_map(array).collect()
}

/// What those with long arrays hold.
fn long() -> Vec<f32> {
    let array = |index: u32| {
        (0..1400).map(move |place: u64| {
            let pattern = (place * 2_654_435_761 % 4093) as u32;
            f32::from_bits((pattern.wrapping_mul(65_537) % (1 << 23) + index) | 0x3f80_0000)
        })
    };
    (0..2).flat_map(array).collect()
}

/// A pickle of a list with one array, told by its parts.
fn array(shape: &str, dtype: &str, order: &str, is_fortran: bool, data: &[u8]) -> Vec<u8> {
    let fortran = u8::from(is_fortran);
    let start = format!(
        "(lcnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n({shape}tcnumpy\ndtype\n\
         (S'{dtype}'\nI0\nI1\ntR(I3\nS'{order}'\nNNNI-1\nI-1\nI0\ntbI0{fortran}\nT"
    );
    let length = (data.len() as i32).to_le_bytes();
    [start.as_bytes(), &length, data, b"tba."].concat()
}

/// How many KiB this process has had in memory at most.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Runs a test by itself, with a small stack, and looks at how much memory it took.
fn in_little_memory(name: &str, most_kib: u64, body: impl FnOnce() + Send) {
    const INSIDE: &str = "PICKLE_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        let before = most_memory();
        let outcome = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, body).unwrap().join()
        });
        outcome.expect("see the message above");
        if let (Some(before), Some(after)) = (before, most_memory()) {
            assert!(after - before < most_kib, "{} KiB", after - before);
        }
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

#[test]
fn names_and_classes_of_every_protocol() {
    for protocol in 0..=5 {
        let names = strings(&fixture(&format!("names_{protocol}"))).unwrap();
        assert_eq!(names, NAMES, "{protocol}");
        let classes = integers(&fixture(&format!("classes_{protocol}"))).unwrap();
        assert_eq!(classes, CLASSES, "{protocol}");
    }
    let python_2 = strings(&fixture("names_python_2")).unwrap();
    assert_eq!(python_2, [NAMES[0], NAMES[1], "it's \"so\""]);
    let escapes = strings(&fixture("names_escapes")).unwrap();
    assert_eq!(escapes, ["AB\t\n\\'\"\x07\x08\x0c\x0b\r\\q\x07x"]);
    let short = strings(&fixture("names_short")).unwrap();
    assert_eq!(short, ["abc", "def", "abc"]);
    let numpy = integers(&fixture("classes_numpy")).unwrap();
    assert_eq!(numpy, [2, -3, 200, 7, 9]);
}

#[test]
fn arrays_of_every_protocol_and_kind() {
    let mut names: Vec<String> = (0..6)
        .map(|protocol| format!("arrays_{protocol}_numpy_2"))
        .collect();
    names.extend((0..4).map(|protocol| format!("arrays_{protocol}_numpy_1")));
    names.extend(
        [
            "python_2_0",
            "python_2_2",
            "fortran",
            "fortran_5",
            "big_endian",
            "double",
            "double_big_endian",
            "half",
            "half_big_endian",
            "whole",
        ]
        .map(str::to_owned),
    );
    for name in &names {
        let found = embeddings(&fixture(name)).unwrap();
        assert_eq!(found.shape, [3, 2, 5], "{name}");
        assert_eq!(found.values, arrays(), "{name}");
        assert_eq!((found.len(), found.is_empty()), (3, false));
        assert_eq!(found.caption(2, 1), &arrays()[25..]);
    }
    let first: Vec<f32> = arrays().chunks(5).step_by(2).flatten().copied().collect();
    for name in ["flat", "whole_flat"] {
        let found = embeddings(&fixture(name)).unwrap();
        assert_eq!(
            (found.shape, found.values),
            ([3, 1, 5], first.clone()),
            "{name}"
        );
    }
    for name in [
        "long_0",
        "long_2",
        "long_0_python_3",
        "long_2_python_3",
        "long_5_python_3",
    ] {
        let found = embeddings(&fixture(name)).unwrap();
        assert_eq!(found.shape, [2, 2, 700], "{name}");
        assert!(found.values == long(), "{name}");
    }
}

#[test]
fn arrays_in_another_order_than_they_were_made() {
    let one = |value: u8| {
        let bytes = array("I1\n", "f2", "<", false, &[0, value]);
        bytes[2..bytes.len() - 2].to_vec()
    };
    // The first is remembered and listed last.
    let bytes = [b"(l", &one(0x3c)[..], b"p7\n0", &one(0x40), b"ag7\na."].concat();
    let found = opened(&bytes).unwrap().embeddings().unwrap();
    assert_eq!((found.shape, found.values), ([2, 1, 1], vec![2.0, 1.0]));
    let bytes = [b"(l", &one(0x3c)[..], b"p7\nag7\na."].concat();
    assert_eq!(
        said(opened(&bytes).unwrap().embeddings()),
        format!("x.pickle: an array is in its list twice; {DAMAGED}")
    );
}

#[test]
fn all_kinds_of_values() {
    let Value::List(values) = read(&fixture("values")).unwrap() else {
        panic!("no list");
    };
    let tuple = Value::Tuple(vec![
        Value::Integer(1),
        Value::Tuple(vec![Value::Integer(2)]),
        Value::List(vec![]),
    ]);
    let expected = [
        Value::None,
        Value::Bool(true),
        Value::Bool(false),
        Value::Integer(7),
        Value::Real(-1.5),
        Value::Text("a".to_owned()),
        Value::Bytes(vec![0xff]),
        tuple,
    ];
    assert_eq!(values[..8], expected);
    let Value::List(pair) = &values[8] else {
        panic!("no list");
    };
    let [Value::Array(one), Value::Array(two)] = &pair[..] else {
        panic!("no arrays");
    };
    assert_eq!((one.shape(), one.values()), (&[2, 5][..], &arrays()[..10]));
    assert!(one == two && format!("{one:?}") == "Array[2, 5]");
    let half = array(
        "I8\n",
        "f2",
        "<",
        false,
        &[
            0, 0, 1, 0, 0xff, 3, 0, 4, 0xff, 0x7b, 0, 0x7c, 0, 0xfc, 0, 0x80,
        ],
    );
    let Value::List(values) = opened(&half).unwrap().value().unwrap() else {
        panic!("no list");
    };
    let Value::Array(half) = &values[0] else {
        panic!("no array");
    };
    // By numpy.
    assert_eq!(
        half.values(),
        [
            0.0,
            5.960_464_5e-8,
            6.097_555e-5,
            6.103_515_6e-5,
            65_504.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -0.0
        ]
    );
}

#[test]
fn code_is_refused_by_its_name() {
    let attack = "refused, for data needs no code, and this file may be an attack: do not load it in Python, and get \
                  it again from its authors";
    for (name, at, what) in [
        ("global", 0, "asks for os.system"),
        ("stack_global", 17, "asks for posix.system"),
        ("inst", 14, "asks for an instance of os.system"),
        (
            "obj",
            18,
            "asks for an instance of the function numpy.ndarray",
        ),
        (
            "newobj",
            18,
            "asks for an instance of the function numpy.ndarray",
        ),
        (
            "newobj_ex",
            19,
            "asks for an instance of the function numpy.ndarray",
        ),
        ("reduce", 6, "calls a list"),
        ("builtin", 0, "asks for __builtin__.eval"),
        ("nearby", 0, "asks for numpy.core.multiarray.fromfile"),
        ("build", 5, "gives a list a state"),
        ("persid", 1, "asks for the object there outside the file"),
        (
            "extension",
            2,
            "asks for a function that is registered by number",
        ),
    ] {
        let path = fixture(&format!("evil_{name}"));
        let error = read(&path).unwrap_err();
        assert_eq!(exit_code(&error), 3);
        let said = error.to_string();
        let expected = format!("{}: byte {at}: {what}; {attack}", path.display());
        assert_eq!(said, expected);
    }
}

const DAMAGED: &str =
    "the file is damaged or incomplete: get it again, or write it again with Python's pickle.dump";
const OF_ANOTHER: &str = "check that it is the file meant, or write it anew";

#[test]
fn what_is_wrong_is_named() {
    const NO_PICKLE: &str = "check the path, or get the file again";
    let refused = |bytes: &[u8], what: &str, fix: &str| {
        let found = said(opened(bytes).and_then(Opened::embeddings));
        assert_eq!(found, format!("x.pickle: {what}; {fix}"));
    };
    for (bytes, what) in [
        (&b""[..], "byte 0: the file is empty"),
        (b"(l", "byte 2: the file ends early"),
        (b"I1", "byte 0: the file ends early"),
        (b"N(0", "byte 3: the file ends early"),
        (b"Nl.", "byte 1: a mark is missing"),
        (b"(.", "byte 1: it takes from an empty stack"),
        (
            b"Ng5\n.",
            "byte 1: what is remembered as number 5 was never told",
        ),
        (b"N\xff", "byte 1: opcode 0xff, which does not exist"),
        (b"N.\nN", "byte 1: 2 bytes follow the end of the pickle"),
        (b"I1x\n.", "byte 0: 1x is no number that is read"),
        (
            b"I9223372036854775808\n.",
            "byte 0: 9223372036854775808 is no number that is read",
        ),
        (b"S'abc\n.", "byte 0: a string without quotes"),
        (
            b"S'\\x4g'\n.",
            "byte 0: a string has an escape that is none, \\\\x4g",
        ),
        (
            b"V\\ud83d\n.",
            "byte 0: a text with 0xd83d, which is no character",
        ),
        (b"X\x01\0\0\0\xff.", "byte 0: a text is no UTF-8"),
        (
            b"X\xff\xff\xff\xffab",
            "byte 0: 4294967295 bytes are claimed where 2 are left",
        ),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffab",
            "byte 0: 18446744073709551615 bytes are claimed where 2 are left",
        ),
        (
            b"T\xff\xff\xff\xffab",
            "byte 0: a string of a negative length",
        ),
        (
            b"\x80\x04\x95\0\0\0\0\0\0\0\x7fN.",
            "byte 2: 9151314442816847872 bytes are claimed where 2 are left",
        ),
        (
            b"(l.",
            "its embeddings [0, 0, 0] are none: pictures, captions, width",
        ),
        (
            b"c_codecs\nencode\n(V\\u0100\nVlatin1\ntR.",
            "byte 34: bytes are told by a text with the character U+0100",
        ),
    ] {
        refused(bytes, what, DAMAGED);
    }
    for (bytes, what) in [
        (
            &b"\x8a\x09abcdefghi."[..],
            "byte 0: a whole number of 9 bytes; at most 8 are read",
        ),
        (b"N}.", "byte 1: a dictionary, where lists are expected"),
        (b"N\x8f.", "byte 1: a set, where lists are expected"),
        (b"N.", "it is None, expected a list of arrays"),
        (
            b"]K\x01a.",
            "item 0 of its list is a whole number, expected an array of shape [captions, width] or [width]",
        ),
    ] {
        refused(bytes, what, OF_ANOTHER);
    }
    for bytes in [&b"<!DOCTYPE html>"[..], b"PK\x03\x04", b"g5\n."] {
        refused(bytes, "byte 0: no pickle by its content", NO_PICKLE);
    }
    refused(
        b"\x80\x06N.",
        "byte 0: protocol 6, of which at most 5 is known",
        "write it again in protocol 2",
    );
    refused(
        b"N\x97.",
        "byte 1: its numbers are kept outside the file",
        "write it again with pickle.dump(value, file, protocol=2)",
    );
    for (shape, length, what) in [
        (
            "I2\n",
            7,
            "byte 145: the shape [2] of float32 needs 8 bytes, its data has 7",
        ),
        (
            "I2\n",
            9,
            "byte 147: the shape [2] of float32 needs 8 bytes, its data has more",
        ),
        (
            "I4294967296\nI4294967296\n",
            0,
            "byte 159: the shape [4294967296, 4294967296] multiplies to an absurd number",
        ),
        (
            "I-1\n",
            0,
            "byte 139: an array whose shape is not 1 to 8 whole numbers from 0 on",
        ),
        (
            "",
            4,
            "byte 139: an array whose shape is not 1 to 8 whole numbers from 0 on",
        ),
        (
            "I0\n",
            0,
            "its embeddings [1, 1, 0] are none: pictures, captions, width",
        ),
    ] {
        let bytes = array(shape, "f4", "<", false, &vec![0; length]);
        refused(&bytes, what, DAMAGED);
    }
    refused(
        &array("I1\n", "f4", "<", false, &f32::NAN.to_le_bytes()),
        "number 0 of caption 0 of picture 0 (from 0) is NaN, which is not finite",
        DAMAGED,
    );
    refused(
        &array("I1\n", "i8", "<", false, &[0; 8]),
        "byte 146: an array of int64; those of float16, float32 and float64 are read",
        "convert it with array.astype(numpy.float32) and write it again",
    );
    refused(
        &array("I1\n", "O8", "<", false, &[0; 8]),
        "byte 102: the type of numbers O8 is not read",
        "convert it with numpy.asarray(value, dtype=numpy.float32) and write it again",
    );
    let list = |bytes: &[u8]| opened(bytes).unwrap();
    assert_eq!(
        said(list(b"(lK\x01aN.").strings()),
        format!("x.pickle: it is None, expected a list of texts; {OF_ANOTHER}")
    );
    assert_eq!(
        said(list(b"(lVa\naK\x01a.").strings()),
        format!("x.pickle: item 1 of its list is a whole number, expected a text; {OF_ANOTHER}")
    );
    assert_eq!(
        said(list(b"(lVa\na.").integers()),
        format!("x.pickle: item 0 of its list is a text, expected a whole number; {OF_ANOTHER}")
    );
    assert_eq!(
        said(list(b"(lU\x01\xffa.").strings()),
        format!("x.pickle: item 0 of its list, \\xff, is no text in UTF-8; {OF_ANOTHER}")
    );
    let long = [b"(lB\x01\x08\0\0", &[b'a'; 2049][..], b"a."].concat();
    assert_eq!(
        said(list(&long).strings()),
        format!(
            "x.pickle: item 0 of its list: a string of 2049 bytes; at most 2048 are read; {OF_ANOTHER}"
        )
    );
    assert_eq!(
        said(list(b"cnumpy\ndtype\n.").value()),
        format!(
            "x.pickle: it has the function numpy.dtype, which is no value by itself; {OF_ANOTHER}"
        )
    );
    let two = |width: usize| {
        let bytes = array(
            &format!("I1\nI{width}\n"),
            "f4",
            "<",
            false,
            &vec![0; 4 * width],
        );
        bytes[2..bytes.len() - 1].to_vec()
    };
    let unlike = [b"(l", &two(3)[..], &two(2), b"."].concat();
    assert_eq!(
        said(list(&unlike).embeddings()),
        format!(
            "x.pickle: item 1 of its list has 1 captions of 2 numbers, those before 1 of 3; {DAMAGED}"
        )
    );
    let missing = Path::new("/nowhere/filenames.pickle");
    assert!(
        strings(missing)
            .unwrap_err()
            .to_string()
            .contains("check the path")
    );
}

/// Little files that would take all memory, all of the stack or all time.
#[test]
fn bombs_do_not_go_off() {
    in_little_memory("bombs_do_not_go_off", 512 << 10, || {
        let refused = |bytes: &[u8], expected: &str| {
            let said = said(opened(bytes).and_then(Opened::value));
            assert!(said.contains(expected), "{said}");
        };
        let deep = "values are more than 16 deep in one another, or one is a part of itself";
        // A list in a list, a hundred thousand times.
        let nested = [vec![b']'; 100_000], vec![b'a'; 99_999], b".".to_vec()].concat();
        refused(&nested, deep);
        refused(
            &[b"N".to_vec(), b"\x85".repeat(100_000), b".".to_vec()].concat(),
            deep,
        );
        // A list that holds itself.
        refused(b"](lp0\ng0\naa.", deep);
        // Ten times the list before, fifteen times over.
        let mut laughs = b"(lNa".to_vec();
        for key in 0..15 {
            laughs.extend([b'q', key, b'(']);
            laughs.extend([b'h', key].repeat(10));
            laughs.push(b'l');
        }
        laughs.push(b'.');
        refused(&laughs, "it has more than 2097152 values");
        // A text of two thousand bytes, a hundred thousand times.
        let mut texts = b"](B\xd0\x07\0\0".to_vec();
        texts.extend([b'a'; 2000]);
        texts.extend(b"2".repeat(100_000));
        texts.extend(b"e.");
        refused(&texts, "its texts have more than 67108864 bytes");
        let opened_texts = opened(&texts).unwrap();
        assert!(said(opened_texts.strings()).contains("more than 67108864 bytes"));
        // Nothing but opcodes.
        refused(&b"]".repeat(1 << 22), "more than 2097152 opcodes");
        refused(&b"(".repeat(1 << 22), "more than 2097152 opcodes");
        // Arrays of the same bytes, remembered.
        let data = vec![0; 2000];
        let one = array("I1000\n", "f2", "<", false, &data);
        let mut many = one[..one.len() - 2].to_vec();
        let end = one.len() - 4;
        many.splice(end..end, *b"q\x00");
        let again =
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1000\nt\
                      cnumpy\ndtype\n(S'f2'\nI0\nI1\ntRI00\nh\x00tb";
        for _ in 0..1000 {
            many.extend(again);
        }
        many.extend(b".");
        refused(&many, "arrays of more bytes than the file has");
        // A long tuple looked through again and again.
        let mut tuple = b"cnumpy\ndtype\nq\x00(S'f4'\n".to_vec();
        tuple.extend(b"N".repeat(500_000));
        tuple.extend(b"tq\x01R");
        tuple.extend(b"h\x00h\x01R".repeat(300_000));
        refused(&tuple, "calls numpy.dtype with other arguments than numpy");
        // As many texts encoded.
        let mut encoded = b"(V".to_vec();
        encoded.extend([b'a'; 2000]);
        encoded.extend(b"\nq\x000");
        for _ in 0..100_000 {
            encoded.extend(b"c_codecs\nencode\n(h\x00S'latin1'\ntR");
        }
        encoded.extend(b"l.");
        refused(&encoded, "more than 67108864 bytes of texts");
    });
}

#[test]
fn damaged_files_are_survived() {
    in_little_memory("damaged_files_are_survived", 64 << 10, || {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(fixtures())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        assert!(paths.len() > 50);
        for (number, path) in (0..).zip(&paths) {
            let whole = std::fs::read(path).unwrap();
            let survive = |bytes: &[u8]| {
                for view in 0..4 {
                    let outcome = opened(bytes).and_then(|opened| match view {
                        0 => opened.value().map(|_| ()),
                        1 => opened.strings().map(|_| ()),
                        2 => opened.integers().map(|_| ()),
                        _ => opened.embeddings().map(|_| ()),
                    });
                    if let Err(error) = outcome {
                        said::<()>(Err(error));
                    }
                }
            };
            for end in 0..whole.len() {
                assert!(
                    opened(&whole[..end]).is_err(),
                    "{} cut at {end}",
                    path.display()
                );
            }
            let mut stream = Stream::new(1, "damage", number);
            for _ in 0..400 {
                let mut bytes = whole.clone();
                let count = 1 + stream.integers(1, 4)[0];
                for at in stream.integers(count, whole.len()) {
                    let opcodes = b"()]}.0129NIJKLMFGSTUVXBCcRbiopqrghjlatesduPQ\x80\x81\x82\x85\
                                    \x88\x8c\x93\x94\x95\xff\0\x7f";
                    bytes[at] = match stream.integers(1, 2)[0] {
                        0 => bytes[at] ^ 1 << stream.integers(1, 8)[0],
                        _ => opcodes[stream.integers(1, opcodes.len())[0]],
                    };
                }
                survive(&bytes);
            }
        }
    });
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pickle");
    let mut names = NAMES.map(str::to_owned).to_vec();
    names.push("\0\r\x1a\u{7f}\u{80}\u{ff}\u{100}\u{ffff}\u{10000}\\u0041".to_owned());
    write_strings(&path, &names).unwrap();
    assert_eq!(strings(&path).unwrap(), names);
    let numbers = [CLASSES.to_vec(), vec![i64::MIN, i64::MAX, 0]].concat();
    write_integers(&path, &numbers).unwrap();
    assert_eq!(integers(&path).unwrap(), numbers);
    write_embeddings(&path, [3, 2, 5], &arrays()).unwrap();
    assert_eq!(
        embeddings(&path).unwrap(),
        Embeddings {
            shape: [3, 2, 5],
            values: arrays()
        }
    );
    write_embeddings(&path, [2, 2, 700], &long()).unwrap();
    assert!(embeddings(&path).unwrap().values == long());
    let nowhere = folder.path().join("none/x.pickle");
    assert_eq!(exit_code(&write_integers(&nowhere, &[1]).unwrap_err()), 6);
}

/// To be loaded in Python: `PICKLE_WRITTEN=folder cargo test -p stackgan --lib written_for_python -- --ignored`, and
/// `python tests/fixtures/pickle_make.py folder/*`.
#[test]
#[ignore = "writes files for Python"]
fn written_for_python() {
    let folder = PathBuf::from(std::env::var_os("PICKLE_WRITTEN").unwrap());
    write_strings(&folder.join("names.pickle"), &NAMES.map(str::to_owned)).unwrap();
    write_integers(&folder.join("classes.pickle"), &CLASSES).unwrap();
    write_embeddings(&folder.join("arrays.pickle"), [3, 2, 5], &arrays()).unwrap();
    write_embeddings(&folder.join("long.pickle"), [2, 2, 700], &long()).unwrap();
}

#[test]
fn the_numbers_of_a_large_file_are_in_memory_once() {
    in_little_memory(
        "the_numbers_of_a_large_file_are_in_memory_once",
        100 << 10,
        || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.pickle");
            let values: Vec<f32> = (0..16 << 10).map(|value| value as f32).collect();
            // 64 MiB in one array, and in a thousand.
            for (count, shape) in [(1, "I1024\nI16\nI1024\n"), (1024, "I16\nI1024\n")] {
                let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
                let part: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                let one = array(shape, "f4", "<", false, &[]);
                let length = (part.len() * 1024 / count) as i32;
                std::io::Write::write_all(&mut file, b"(l").unwrap();
                for _ in 0..count {
                    std::io::Write::write_all(&mut file, &one[2..one.len() - 8]).unwrap();
                    std::io::Write::write_all(&mut file, &length.to_le_bytes()).unwrap();
                    for _ in 0..1024 / count {
                        std::io::Write::write_all(&mut file, &part).unwrap();
                    }
                    let end: &[u8] = if count == 1 { b"tb" } else { b"tba" };
                    std::io::Write::write_all(&mut file, end).unwrap();
                }
                std::io::Write::write_all(&mut file, b".").unwrap();
                file.into_inner().unwrap();
                let found = embeddings(&path).unwrap();
                assert_eq!(found.shape, [1024, 16, 1024]);
                assert_eq!(found.caption(1023, 15), &values[15 << 10..]);
            }
        },
    );
}

fn real(place: &str) -> Option<PathBuf> {
    let place = PathBuf::from(std::env::var_os("GAN_DATA")?).join(place);
    place.exists().then_some(place)
}

/// The values are those of Python's `pickle.load(file, encoding="latin1")`.
#[test]
fn the_lists_of_birds() {
    let (Some(train), Some(test)) = (real("birds/train"), real("birds/test")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("x.pickle");
    for (place, count, first) in [
        (
            &train,
            275,
            "002.Laysan_Albatross/Laysan_Albatross_0002_1027",
        ),
        (
            &test,
            2933,
            "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18",
        ),
    ] {
        let names = place.join("filenames.pickle");
        let found = strings(&names).unwrap();
        assert_eq!((found.len(), found[0].as_str()), (count, first));
        write_strings(&written, &found).unwrap();
        // One has an empty line at its end.
        let original = std::fs::read(&names).unwrap();
        let same = std::fs::read(&written).unwrap() == original.trim_ascii_end();
        assert!(same, "{}", names.display());
    }
    // Numbers of numpy, and plain ones.
    let classes = integers(&train.join("class_info.pickle")).unwrap();
    assert_eq!((classes.len(), classes[0], classes[8854]), (8855, 2, 200));
    assert_eq!(
        classes
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        150
    );
    let names = test.join("class_info.pickle");
    let classes = integers(&names).unwrap();
    assert_eq!((classes.len(), classes[0]), (2933, 1));
    write_integers(&written, &classes).unwrap();
    assert!(std::fs::read(&written).unwrap() == std::fs::read(&names).unwrap());
}
