//! Names and texts: the shortest, every script, and whatever a careless query language would trip over.

use super::prelude::*;

fn new_account(handle: Option<Handle>, email: Option<Email>, password_hash: Option<&str>) -> Op {
    let password_hash = password_hash.map(str::to_owned);
    Op::CreateAccount(NewAccount { handle, email, password_hash, status: AccountStatus::Active })
}

async fn by_email(cx: &Context, address: &str) -> Result<Option<Did>> {
    Ok(cx.db().account(&AccountName::Email(address.parse()?)).await?.map(|account| account.did))
}

/// Texts that a query, a pattern or a format might take for something else.
const TRAPS: [&str; 12] = [
    "'; DROP TABLE records; --",
    "100%",
    "a_b",
    "a\\b",
    "\\x00",
    "\"quoted\"",
    "$1",
    "{a,b}",
    "line\nbreak\ttab",
    "NULL",
    "🦋🏳️‍🌈",
    " ",
];

pub(crate) async fn names_of_the_shortest_form_are_kept(cx: Arc<Context>) -> Outcome {
    let did: Did = "did:a:b".parse()?;
    let (handle, email): (Handle, Email) = ("a.b".parse()?, "a@b".parse()?);
    cx.apply(&did, vec![new_account(Some(handle.clone()), Some(email.clone()), None)]).await?;
    let mut repo = SceneRepo::new(did.clone());
    cx.write(&mut repo, &[Write::Put(path("a.b.c/d"), content("x"))]).await?;
    cx.reopen().await;
    for name in [AccountName::Did(did.clone()), AccountName::Handle(handle), AccountName::Email(email)] {
        assert_eq!(cx.db().account(&name).await?.map(|account| account.did).as_ref(), Some(&did), "{name:?}");
    }
    assert!(cx.db().record(&did, &path("a.b.c/d")).await?.is_some());
    assert_eq!(cx.db().collections(&did).await?, [nsid("a.b.c")]);
    Ok(())
}

/// DIDs are compared byte by byte: of two that differ in case only, each has an account, a repo and rows.
pub(crate) async fn names_of_dids_keep_their_case(cx: Arc<Context>) -> Outcome {
    let dids: Vec<Did> =
        ["did:plc:abc", "did:plc:Abc", "did:plc:ABC"].map(|did| did.parse()).into_iter().collect::<Result<_>>()?;
    for (i, did) in dids.iter().enumerate() {
        cx.apply(did, vec![new_account(None, None, None)]).await?;
        let mut repo = SceneRepo::new(did.clone());
        cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), content(&format!("{i}")))]).await?;
    }
    for (i, did) in dids.iter().enumerate() {
        let record = cx.db().record(did, &path("com.example.note/1")).await?;
        assert_eq!(record.map(|record| record.cid), Some(content(&format!("{i}")).cid()), "{did}");
    }
    assert_eq!(cx.db().accounts(None, 10).await?.items.len(), 3);
    Ok(())
}

/// The order of a listing is that of bytes, not of a language: upper before lower case, and marks where ASCII has them.
pub(crate) async fn names_of_dids_are_listed_by_their_bytes(cx: Arc<Context>) -> Outcome {
    let ids = ["a", "B", "b", "A", "a-b", "a.b", "a_b", "a:b", "ab", "a%41", "0", "10", "9", "aB", "Ab", "Z", "z"];
    let mut dids: Vec<Did> = ids.iter().map(|id| did(id)).collect();
    dids.push("did:web:example.com%3A8080:path".parse()?);
    dids.push("did:key:zQ3sh".parse()?);
    for did in &dids {
        cx.apply(did, vec![new_account(None, None, None)]).await?;
        cx.write(&mut SceneRepo::new(did.clone()), &[]).await?;
    }
    dids.sort_by(|a, b| a.as_str().as_bytes().cmp(b.as_str().as_bytes()));
    let (mut accounts, mut repos, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = cx.db().accounts(after.as_ref(), 4).await?;
        accounts.extend(page.items.into_iter().map(|account| account.did));
        repos.extend(cx.db().repos(after.as_ref(), 4).await?.items.into_iter().map(|listing| listing.did));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(accounts, dids);
    assert_eq!(repos, dids);
    Ok(())
}

/// Case is no difference between two handles.
pub(crate) async fn names_of_handles_are_taken_in_any_case(cx: Arc<Context>) -> Outcome {
    let alice = did("alice");
    cx.apply(&alice, vec![new_account(Some("Alice.Example.COM".parse()?), None, None)]).await?;
    let shouted: Handle = "ALICE.example.com".parse()?;
    cx.refused(&did("bob"), vec![new_account(Some(shouted.clone()), None, None)], Reason::HandleTaken).await?;
    let bob = cx.account("bob").await?;
    let patch = AccountPatch { handle: Some(Some(shouted)), ..AccountPatch::default() };
    cx.refused(&bob, vec![Op::UpdateAccount(patch)], Reason::HandleTaken).await?;
    let account = cx.db().account(&AccountName::Did(alice)).await?.expect("an account");
    assert_eq!(account.handle.map(Handle::into_string).as_deref(), Some("alice.example.com"));
    // A label more or less is another handle.
    for (i, other) in ["alice.example.co", "xalice.example.com", "a.lice.example.com"].iter().enumerate() {
        cx.apply(&did(&format!("u{i}")), vec![new_account(Some(other.parse()?), None, None)]).await?;
    }
    Ok(())
}

/// Addresses that look alike and are not the same text are two addresses; nothing is normalized but case.
pub(crate) async fn names_of_addresses_that_look_alike_are_apart(cx: Arc<Context>) -> Outcome {
    // Latin and Cyrillic a; a composed and a decomposed letter; with and without a dot, a tag, a zero-width joiner.
    let alike = [
        "a@example.com",
        "\u{430}@example.com",
        "jos\u{e9}@example.com",
        "jose\u{301}@example.com",
        "al@example.com",
        "a.l@example.com",
        "al+tag@example.com",
        "al\u{200d}@example.com",
        "stra\u{df}e@example.com",
        "strasse@example.com",
    ];
    for (i, address) in alike.iter().enumerate() {
        cx.apply(&did(&format!("u{i}")), vec![new_account(None, Some(address.parse()?), None)]).await?;
    }
    cx.reopen().await;
    for (i, address) in alike.iter().enumerate() {
        assert_eq!(by_email(&cx, address).await?, Some(did(&format!("u{i}"))), "{address}");
    }
    assert_eq!(by_email(&cx, "JOS\u{c9}@EXAMPLE.COM").await?, Some(did("u2")));
    cx.refused(
        &did("late"),
        vec![new_account(None, Some("JOSE\u{301}@example.com".parse()?), None)],
        Reason::EmailTaken,
    )
    .await
}

/// An empty hash is a hash, and none is none; and any text is one.
pub(crate) async fn names_of_password_hashes_are_kept_as_they_are(cx: Arc<Context>) -> Outcome {
    let mut hashes: Vec<Option<&str>> = TRAPS.iter().copied().map(Some).collect();
    hashes.extend([None, Some(""), Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA")]);
    for (i, hash) in hashes.iter().enumerate() {
        cx.apply(&did(&format!("u{i}")), vec![new_account(None, None, *hash)]).await?;
    }
    cx.reopen().await;
    for (i, hash) in hashes.iter().enumerate() {
        let account = cx.db().account(&AccountName::Did(did(&format!("u{i}")))).await?.expect("an account");
        assert_eq!(account.password_hash.as_deref(), *hash);
    }
    Ok(())
}

/// A link is found by exactly its field and its target, whatever characters they have.
pub(crate) async fn names_of_links_are_matched_to_the_byte(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let mut links: Vec<Link> = TRAPS.iter().map(|trap| link("subject", trap)).collect();
    links.extend(TRAPS.iter().map(|trap| link(trap, "did:plc:bob")));
    links.extend([link("subject", ""), link("subject", "jos\u{e9}"), link("subject", "jose\u{301}")]);
    links.extend([link("subject", "a%b"), link("subject", "axb"), link("Subject", "a_b")]);
    let note = |i: usize| path(&format!("com.example.like/{i:02}"));
    let writes = links.iter().enumerate().map(|(i, link)| Write::Put(note(i), content("x").with_link(link.clone())));
    cx.write(&mut repo, &writes.collect::<Vec<_>>()).await?;
    for (i, link) in links.iter().enumerate() {
        let found = cx.db().linking(&repo.did, &nsid("com.example.like"), link, 100).await?;
        assert_eq!(found, [note(i)], "{link:?}");
    }
    Ok(())
}

pub(crate) async fn names_of_mime_types_are_kept_as_they_are(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let all: Vec<&str> = TRAPS.into_iter().chain(["", "*/*", "text/plain;charset=utf-8", "image/svg+xml"]).collect();
    let put = |mime: &&str| Op::PutBlob { cid: blob_cid(mime), mime: (*mime).into(), bytes: 0 };
    cx.apply(&alice, all.iter().map(put).collect()).await?;
    cx.reopen().await;
    for mime in all {
        let blob = cx.db().blob(&alice, &blob_cid(mime)).await?.expect("a blob");
        assert_eq!((&*blob.mime, blob.bytes), (mime, 0));
    }
    Ok(())
}

/// Record keys that differ in case, or in what a pattern or a number would think equal, name different records.
pub(crate) async fn names_of_records_are_told_apart(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let rkeys =
        ["a", "A", "a_b", "a-b", "a.b", "a:b", "a~b", "axb", "1", "01", "1.0", "self", "Self", "_", "__", "~.~"];
    let note = |rkey: &str| path(&format!("com.example.note/{rkey}"));
    let writes: Vec<Write> = rkeys.iter().map(|rkey| Write::Put(note(rkey), content(rkey))).collect();
    cx.write(&mut repo, &writes).await?;
    for rkey in rkeys {
        let record = cx.db().record(&repo.did, &note(rkey)).await?;
        assert_eq!(record.map(|record| record.bytes), Some(content(rkey).bytes), "{rkey}");
    }
    cx.write(&mut repo, &[Write::Delete(note("a_b")), Write::Delete(note("A"))]).await?;
    assert_eq!(repo.records.len(), rkeys.len() - 2);
    super::imports::state_is(&cx, &repo).await
}

/// The longest names there are, as cursors: a page goes on after each of them.
pub(crate) async fn names_of_the_longest_form_are_cursors(cx: Arc<Context>) -> Outcome {
    let long = |last: char| -> Result<Did> { format!("did:web:{}{last}", "a".repeat(Did::BYTES_MAX - 9)).parse() };
    for last in ['a', 'b', 'c'] {
        let did = long(last)?;
        cx.apply(&did, vec![new_account(None, None, None)]).await?;
        let mut repo = SceneRepo::new(did);
        let note = |last: char| path(&format!("com.example.note/{}{last}", "k".repeat(RecordKey::BYTES_MAX - 1)));
        let writes: Vec<Write> = "abc".chars().map(|last| Write::Put(note(last), content(&last.to_string()))).collect();
        cx.write(&mut repo, &writes).await?;
        for (reverse, expected) in [(false, ["a", "b", "c"]), (true, ["c", "b", "a"])] {
            let mut query = RecordQuery { reverse, ..super::repos::query("com.example.note", 1) };
            for text in expected {
                let page = cx.db().records(&repo.did, &query).await?;
                assert_eq!(page.items[0].bytes, content(text).bytes);
                query.after = page.next;
            }
            assert_eq!(query.after, None);
        }
    }
    let page = cx.db().accounts(Some(&long('a')?), 1).await?;
    assert_eq!((page.items[0].did.clone(), page.next), (long('b')?, Some(long('b')?)));
    let page = cx.db().repos(Some(&long('b')?), 1).await?;
    assert_eq!((page.items[0].did.clone(), page.next), (long('c')?, None));
    Ok(())
}
