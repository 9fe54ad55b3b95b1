//! The map that simulated key-value stores are made of.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use tranquil_sim::Rng;
use tranquil_sim::disk::Pairs;

#[test]
fn it_is_an_ordered_map() {
    let mut rng = Rng::new(1);
    let (mut pairs, mut map) = (Pairs::default(), BTreeMap::<Vec<u8>, Vec<u8>>::new());
    let mut old = Vec::new();
    for round in 0..300 {
        let run: BTreeMap<Vec<u8>, Option<Vec<u8>>> = (0..=rng.below(if round % 9 == 0 { 90 } else { 9 }))
            .map(|_| (vec![rng.below(200) as u8; 1 + rng.below(2) as usize], rng.below(6)))
            .map(|(key, lot)| (key, (lot > 1).then(|| vec![7; lot as usize])))
            .collect();
        old.push((pairs.clone(), map.clone()));
        pairs = pairs.with(&run.clone().into_iter().collect::<Vec<_>>());
        for (key, value) in run {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        check(&pairs, &map);
        let (pairs, map) = &old[rng.below(old.len() as u64) as usize];
        check(pairs, map);
    }
}

fn check(pairs: &Pairs, map: &BTreeMap<Vec<u8>, Vec<u8>>) {
    assert_eq!(pairs.bytes(), map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>());
    let (low, high) = ([40].as_slice(), [120].as_slice());
    for (from, to) in [(Unbounded, Unbounded), (Included(low), Excluded(high)), (Excluded(low), Included(high))] {
        let mut wanted: Vec<_> = map.range::<[u8], _>((from, to)).map(|(k, v)| (k.clone(), v.clone())).collect();
        for reverse in [false, true] {
            let found: Vec<_> = pairs.range(from, to, reverse).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
            assert_eq!(found, wanted);
            wanted.reverse();
        }
    }
    for key in 0..=255 {
        assert_eq!(pairs.get(&[key]).map(|v| v.to_vec()), map.get(&[key][..]).cloned());
    }
}
