//! Comparing all that two stores hold.

use backend_api::SnapshotItem;

/// Of an item no more is shown; a block or an event can be long.
const SHOWN_CHARS_MAX: usize = 600;

/// The first difference between two snapshots, if there is one.
#[must_use]
pub fn difference(left: &[SnapshotItem], right: &[SnapshotItem]) -> Option<String> {
    let at = left.iter().zip(right).position(|(left, right)| left != right);
    let at = at.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))?;
    let show = |items: &[SnapshotItem]| match items.get(at) {
        Some(item) => format!("{item:?}").chars().take(SHOWN_CHARS_MAX).collect(),
        None => "the end".to_owned(),
    };
    Some(format!("item {at} of {} and {}:\n  left:  {}\n  right: {}", left.len(), right.len(), show(left), show(right)))
}
