//! The change feed, for several who read it.

use super::*;
use backend_api::{Changes as _, Pos, Reason};

const MUTATIONS: u64 = 5;

/// The positions of what comes after one.
async fn after(store: &Postgres, pos: u64) -> Result<Vec<u64>, Reason> {
    let changes = store.changes(Pos(pos), 100, usize::MAX).await.map_err(|e| e.reason())?;
    Ok(changes.into_iter().map(|change| change.stamp.pos.0).collect())
}

#[tokio::test]
async fn changes_are_kept_for_who_is_slowest() {
    if !available() {
        return;
    }
    let database = database().await;
    let store = Postgres::open(Options::new(database.url())).await.unwrap();
    // The template's.
    store.drop_slot("conformance").await.unwrap();
    for slot in ["fast", "slow"] {
        assert_eq!(store.register_slot(slot).await.unwrap(), Pos(0));
    }
    for n in 1..=MUTATIONS {
        let name = format!("user{n}");
        let ops = vec![create_account(&name)];
        let mutation = Mutation { did: scene::did(&name), key: IdempotencyKey([1; 16]), ops, blocks: vec![] };
        store.apply(mutation).await.unwrap();
    }
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut kept = async || {
        let rows = sqlx::query("SELECT pos FROM changes ORDER BY pos").fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get::<i64, _>(0)).collect::<Vec<_>>()
    };
    store.advance_slot("fast", Pos(4)).await.unwrap();
    assert_eq!(after(&store, 0).await, Ok(vec![1, 2, 3, 4, 5]), "the other has read none of them");
    store.advance_slot("slow", Pos(2)).await.unwrap();
    assert_eq!((after(&store, 1).await, after(&store, 2).await), (Err(Reason::CursorGone), Ok(vec![3, 4, 5])));
    assert_eq!(kept().await, [3, 4, 5]);
    store.advance_slot("slow", Pos(1)).await.unwrap();
    assert_eq!((after(&store, 1).await, after(&store, 2).await), (Err(Reason::CursorGone), Ok(vec![3, 4, 5])));
    store.drop_slot("slow").await.unwrap();
    assert_eq!((after(&store, 3).await, after(&store, 4).await), (Err(Reason::CursorGone), Ok(vec![5])));
    assert_eq!(kept().await, [5]);
    // Beyond the newest there is nothing to be read over.
    store.advance_slot("fast", Pos(100)).await.unwrap();
    assert_eq!(
        (store.register_slot("fast").await.unwrap(), after(&store, MUTATIONS).await),
        (Pos(MUTATIONS), Ok(vec![]))
    );
    store.drop_slot("fast").await.unwrap();
    assert_eq!(after(&store, MUTATIONS - 1).await, Err(Reason::CursorGone), "nobody wants it");
    assert_eq!(kept().await, Vec::<i64>::new());
}
