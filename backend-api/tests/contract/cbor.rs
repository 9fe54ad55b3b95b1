//! The hand-written CBOR against the general one, and what it refuses.

use std::collections::BTreeMap;

use backend_api::Cid;
use backend_api::cbor::{self, Reader, Writer};
use ipld_core::ipld::Ipld;

const EDGES: [u64; 11] =
    [0, 23, 24, 255, 256, 65_535, 65_536, u32::MAX as u64, u32::MAX as u64 + 1, i64::MAX as u64, u64::MAX];

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    write(&mut w);
    w.into_bytes()
}

#[test]
fn integers_are_as_short_as_they_can_be() {
    for value in EDGES {
        let bytes = written(|w| {
            w.uint(value);
        });
        assert_eq!(bytes, cbor::encode(&value).unwrap(), "{value}");
        assert_eq!(Reader::new(&bytes).uint(), Ok(value));
        let negative = (value as i64).wrapping_neg();
        assert_eq!(
            written(|w| {
                w.int(negative);
            }),
            cbor::encode(&negative).unwrap(),
            "{negative}"
        );
    }
    assert_eq!(
        written(|w| {
            w.int(i64::MIN);
        }),
        cbor::encode(&i64::MIN).unwrap()
    );
}

#[test]
fn a_value_of_every_sort_is_written_as_the_general_encoder_does() {
    let cid = Cid::of_block(b"x");
    let link = Ipld::Link(cid.to_string().parse().unwrap());
    let fields = [
        ("a", Ipld::List(vec![Ipld::Null, Ipld::Bool(true), Ipld::Bool(false)])),
        ("b", Ipld::Bytes(vec![7; 300])),
        ("c", link.clone()),
        ("t", Ipld::String("é".repeat(20))),
        ("longer", Ipld::List(vec![link, Ipld::Null])),
    ];
    let bytes = written(|w| {
        w.map(5).text("a").array(3).null().bool(true).bool(false);
        w.text("b").bytes(&[7; 300]).text("c").link(&cid).text("t").text(&"é".repeat(20));
        w.text("longer").array(2).link_or_null(Some(&cid)).link_or_null(None);
    });
    let value = Ipld::Map(BTreeMap::from(fields.map(|(name, value)| (name.to_owned(), value))));
    assert_eq!(bytes, cbor::encode(&value).unwrap());
    assert_eq!(cbor::decode::<Ipld>(&bytes).unwrap(), value);

    let mut r = Reader::new(&bytes);
    assert_eq!(r.map(), Ok(5));
    r.key("a").unwrap();
    assert_eq!(r.array(), Ok(3));
    assert!(r.null() && !r.null());
    assert!(r.uint().unwrap_err().what.contains("an integer from 0 up"));
    assert_eq!(r.offset(), 5);
}

#[test]
fn what_is_not_canonical_is_refused() {
    let refused: [(&[u8], &str); 9] = [
        (b"\x18\x05", "an integer in two bytes that fits in one"),
        (b"\x19\x00\xff", "an integer in three bytes that fits in two"),
        (b"\x9f\xff", "a list of open length"),
        (b"\xa2\x61b\x01\x61a\x02", "map keys out of order"),
        (b"\xa2\x61a\x01\x61a\x02", "a map key twice"),
        (b"\xa1\x01\x02", "a map key that is no text"),
        (b"\xfa\x3f\x80\x00\x00", "a short float"),
        (b"\xc1\x01", "another tag than 42"),
        (b"\x01\x01", "two values"),
    ];
    for (bytes, what) in refused {
        assert!(cbor::check(bytes).is_err(), "{what}");
    }
    assert_eq!(Reader::new(b"\x18\x05").uint().unwrap_err().what.as_ref(), "a header that is longer than needed");
    assert!(Reader::new(b"\x9f\xff").array().unwrap_err().what.contains("left open"));
    assert!(Reader::new(b"\x62\xff\xff").text().unwrap_err().what.contains("UTF-8"));
    assert!(Reader::new(b"\xd8\x2b\x40").link().unwrap_err().what.contains("not 42"));
    assert!(Reader::new(b"\xd8\x2a\x40").link().unwrap_err().what.contains("leading zero"));
}

#[test]
fn promises_of_more_than_there_is_are_refused() {
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let bytes = [head, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        let mut r = Reader::new(&bytes);
        let found = match head {
            0x5b => r.bytes().map(drop),
            0x7b => r.text().map(drop),
            0x9b => r.array().map(drop),
            _ => r.map().map(drop),
        };
        assert!(found.unwrap_err().what.contains("announced"));
        assert!(cbor::check(&bytes).is_err());
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let mut deep = vec![0x81; 100_000];
    deep.push(0x80);
    assert!(cbor::check(&deep).is_err());
    let mut shallow = vec![0x81; 50];
    shallow.push(0x80);
    cbor::check(&shallow).unwrap();
}
