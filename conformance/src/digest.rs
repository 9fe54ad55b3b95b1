//! Comparing all that two stores hold.

use backend_api::SnapshotItem;

/// The first difference between two snapshots, if there is one.
#[must_use]
pub fn difference(left: &[SnapshotItem], right: &[SnapshotItem]) -> Option<String> {
    let at = left.iter().zip(right).position(|(left, right)| left != right);
    let at = at.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))?;
    let show = |items: &[SnapshotItem]| items.get(at).map_or("the end".to_owned(), |item| format!("{item:?}"));
    Some(format!("item {at} of {} and {}:\n  left:  {}\n  right: {}", left.len(), right.len(), show(left), show(right)))
}
