//! Accounts.

use super::prelude::*;

fn patch_handle(handle: Option<Handle>) -> Op {
    Op::UpdateAccount(AccountPatch { handle: Some(handle), ..AccountPatch::default() })
}

fn patch_email(email: Option<Email>) -> Op {
    Op::UpdateAccount(AccountPatch { email: Some(email), ..AccountPatch::default() })
}

fn new_account(handle: Option<Handle>, email: Option<Email>) -> Op {
    Op::CreateAccount(NewAccount { handle, email, password_hash: None, status: AccountStatus::Active })
}

async fn by_handle(cx: &Context, word: &str) -> Result<Option<Did>> {
    Ok(cx.db().account(&AccountName::Handle(handle(word))).await?.map(|account| account.did))
}

async fn by_email(cx: &Context, word: &str) -> Result<Option<Did>> {
    Ok(cx.db().account(&AccountName::Email(email(word))).await?.map(|account| account.did))
}

async fn by_did(cx: &Context, did: &Did) -> Result<Option<Account>> {
    cx.db().account(&AccountName::Did(did.clone())).await
}

pub(crate) async fn accounts_found_by_every_name(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let expected = Account {
        id: AccountId(1),
        did: alice.clone(),
        handle: Some(handle("alice")),
        email: Some(email("alice")),
        email_confirmed_at: None,
        password_hash: Some("a hash".into()),
        status: AccountStatus::Active,
        created_at: START,
        repo: None,
        import: None,
    };
    for name in [AccountName::Did(alice), AccountName::Handle(handle("alice")), AccountName::Email(email("alice"))] {
        assert_eq!(cx.db().account(&name).await?.as_ref(), Some(&expected), "{name:?}");
    }
    let shouted = AccountName::Handle("ALICE.Example.COM".parse()?);
    assert_eq!(cx.db().account(&shouted).await?, Some(expected), "whatever its case");
    Ok(())
}

pub(crate) async fn accounts_handle_has_one_winner(cx: Arc<Context>) -> Outcome {
    one_winner(cx, |_| new_account(Some(handle("wanted")), None), Reason::HandleTaken).await
}

pub(crate) async fn accounts_email_has_one_winner(cx: Arc<Context>) -> Outcome {
    let address = |i: usize| if i.is_multiple_of(2) { "Wanted@Example.com" } else { "wanted@example.COM" };
    one_winner(cx, move |i| new_account(None, Some(address(i).parse().expect("an address"))), Reason::EmailTaken).await
}

pub(crate) async fn accounts_did_has_one_winner(cx: Arc<Context>) -> Outcome {
    let calls = (0..64).map(|i| {
        let (db, op) = (cx.db(), create_account(&format!("name{i}")));
        let mutation = cx.mutation(&did("wanted"), vec![op], Vec::new());
        tokio::spawn(async move { db.apply(mutation).await })
    });
    let taken = count_taken(calls, Reason::AccountExists).await;
    assert_eq!(taken, 1);
    Ok(())
}

async fn one_winner(cx: Arc<Context>, op: impl Fn(usize) -> Op, lost: Reason) -> Outcome {
    let calls = (0..64).map(|i| {
        let (db, mutation) = (cx.db(), cx.mutation(&did(&format!("claimant{i}")), vec![op(i)], Vec::new()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    let taken = count_taken(calls, lost).await;
    assert_eq!(taken, 1);
    assert_eq!(cx.db().accounts(None, 100).await?.items.len(), 1, "the losers have no account");
    Ok(())
}

pub(crate) async fn accounts_handle_race_of_updates_has_one_winner(cx: Arc<Context>) -> Outcome {
    for i in 0..64 {
        cx.account(&format!("u{i}")).await?;
    }
    let calls = (0..64).map(|i| {
        let op = patch_handle(Some(handle("wanted")));
        let (db, mutation) = (cx.db(), cx.mutation(&did(&format!("u{i}")), vec![op], Vec::new()));
        tokio::spawn(async move { db.apply(mutation).await })
    });
    assert_eq!(count_taken(calls, Reason::HandleTaken).await, 1);
    let holder = by_handle(&cx, "wanted").await?.expect("somebody has it");
    let with_it = cx.db().accounts(None, 100).await?.items;
    let with_it: Vec<Did> = with_it.into_iter().filter(|a| a.handle == Some(handle("wanted"))).map(|a| a.did).collect();
    assert_eq!(with_it, [holder]);
    Ok(())
}

pub(crate) async fn accounts_old_names_are_free(cx: Arc<Context>) -> Outcome {
    let (alice, bob) = (cx.account("alice").await?, cx.account("bob").await?);
    cx.refused(&bob, vec![patch_handle(Some(handle("alice")))], Reason::HandleTaken).await?;
    cx.refused(&bob, vec![patch_email(Some(email("alice")))], Reason::EmailTaken).await?;
    cx.apply(&alice, vec![patch_handle(Some(handle("alicia"))), patch_email(None)]).await?;
    assert_eq!(by_handle(&cx, "alice").await?, None);
    assert_eq!(by_email(&cx, "alice").await?, None);
    assert_eq!(by_handle(&cx, "alicia").await?, Some(alice.clone()));
    cx.apply(&bob, vec![patch_handle(Some(handle("alice"))), patch_email(Some(email("alice")))]).await?;
    assert_eq!(by_handle(&cx, "alice").await?, Some(bob.clone()));
    assert_eq!(by_email(&cx, "alice").await?, Some(bob));
    assert_eq!(by_handle(&cx, "bob").await?, None);
    cx.apply(&alice, vec![patch_handle(None)]).await?;
    assert_eq!(by_handle(&cx, "alicia").await?, None);
    Ok(())
}

pub(crate) async fn accounts_may_claim_what_they_have(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    cx.apply(&alice, vec![patch_handle(Some(handle("alice"))), patch_email(Some(email("alice")))]).await?;
    let there_and_back =
        vec![patch_handle(None), patch_handle(Some(handle("other"))), patch_handle(Some(handle("alice")))];
    cx.apply(&alice, there_and_back).await?;
    assert_eq!(by_handle(&cx, "alice").await?, Some(alice));
    assert_eq!(by_handle(&cx, "other").await?, None);
    Ok(())
}

pub(crate) async fn accounts_many_have_no_handle_or_address(cx: Arc<Context>) -> Outcome {
    for word in ["a", "b", "c"] {
        cx.apply(&did(word), vec![new_account(None, None)]).await?;
    }
    assert_eq!(cx.db().accounts(None, 10).await?.items.len(), 3);
    Ok(())
}

pub(crate) async fn accounts_patches_keep_other_fields(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let before = by_did(&cx, &alice).await?.expect("an account");
    let confirmed = AccountPatch { email_confirmed_at: Some(Some(Micros(7))), ..AccountPatch::default() };
    cx.apply(&alice, vec![Op::UpdateAccount(confirmed)]).await?;
    let hashed = AccountPatch { password_hash: Some(None), ..AccountPatch::default() };
    cx.apply(&alice, vec![Op::UpdateAccount(hashed)]).await?;
    let expected = Account { email_confirmed_at: Some(Micros(7)), password_hash: None, ..before };
    assert_eq!(by_did(&cx, &alice).await?.as_ref(), Some(&expected));
    cx.apply(&alice, vec![Op::UpdateAccount(AccountPatch::default())]).await?;
    assert_eq!(by_did(&cx, &alice).await?, Some(expected));
    Ok(())
}

pub(crate) async fn accounts_new_address_is_not_confirmed(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let both = AccountPatch {
        email: Some(Some(email("new"))),
        email_confirmed_at: Some(Some(Micros(7))),
        ..AccountPatch::default()
    };
    cx.apply(&alice, vec![Op::UpdateAccount(both)]).await?;
    assert_eq!(by_did(&cx, &alice).await?.expect("an account").email_confirmed_at, Some(Micros(7)));
    cx.apply(&alice, vec![patch_email(Some(email("newer")))]).await?;
    assert_eq!(by_did(&cx, &alice).await?.expect("an account").email_confirmed_at, None);
    Ok(())
}

pub(crate) async fn accounts_deleted_is_gone(cx: Arc<Context>) -> Outcome {
    let mut repo = cx.repo("alice").await?;
    let bob = cx.account("bob").await?;
    let alice = repo.did.clone();
    cx.apply(&bob, vec![put_row(row("of nobody", "stays"))]).await?;
    let owned = Row { owner: Some(alice.clone()), unique: vec![b"u".to_vec()], ..row("k", "v") };
    let blob = Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1 };
    cx.apply(&alice, vec![put_row(owned), blob]).await?;
    let noted = content("x").with_link(link("subject", "did:plc:bob"));
    cx.write(&mut repo, &[Write::Put(path("com.example.note/1"), noted)]).await?;
    cx.apply(&alice, vec![Op::DeleteAccount, Op::Emit(Announce::Account)]).await?;
    assert_eq!(by_did(&cx, &alice).await?, None);
    assert_eq!(by_handle(&cx, "alice").await?, None);
    assert_eq!(by_email(&cx, "alice").await?, None);
    assert_eq!(cx.db().row(&row_key("k")).await?, None);
    assert_eq!(cx.db().row_unique(RowKind::Custom, 0, b"u").await?, None);
    assert_eq!(cx.db().blob(&alice, &blob_cid("b")).await?, None);
    nothing_of_a_repo(&cx, &repo).await?;
    assert!(cx.db().row(&row_key("of nobody")).await?.is_some());
    cx.refused(&alice, vec![Op::DeleteAccount], Reason::AccountMissing).await?;
    Ok(())
}

async fn nothing_of_a_repo(cx: &Context, repo: &SceneRepo) -> Outcome {
    let (db, did) = (cx.db(), &repo.did);
    let cids: Vec<Cid> = repo.recount().into_keys().collect();
    assert_eq!(db.repo(did, At::Head).await?, None);
    assert!(db.history(did, None, 10).await?.items.is_empty());
    assert!(db.collections(did).await?.is_empty());
    for path in repo.records.keys() {
        assert_eq!(db.record(did, path).await?, None);
    }
    for which in [Blocks::Live, Blocks::History, Blocks::Import] {
        assert!(db.blocks(did, &cids, which).await?.iter().all(Option::is_none), "{which:?}");
        assert!(db.block_refs(did, &cids, which).await?.iter().all(Option::is_none), "{which:?}");
    }
    assert!(db.linking(did, &nsid("com.example.note"), &link("subject", "did:plc:bob"), 10).await?.is_empty());
    assert!(!db.repos(None, 100).await?.items.iter().any(|listing| listing.did == *did));
    Ok(())
}

pub(crate) async fn accounts_registered_again_sees_nothing_old(cx: Arc<Context>) -> Outcome {
    let mut old = cx.repo("alice").await?;
    let noted = content("old").with_blob(blob_cid("b")).with_link(link("subject", "did:plc:bob"));
    let blob = Op::PutBlob { cid: blob_cid("b"), mime: "image/png".into(), bytes: 1 };
    cx.apply(&old.did, vec![blob]).await?;
    cx.write(&mut old, &[Write::Put(path("com.example.note/1"), noted)]).await?;
    cx.apply(&old.did, vec![Op::DeleteAccount]).await?;
    let again = cx.account("alice").await?;
    nothing_of_a_repo(&cx, &old).await?;
    assert_eq!(cx.db().blob(&again, &blob_cid("b")).await?, None);
    assert!(cx.db().blob_uses(&again, &blob_cid("b"), 10).await?.is_empty());
    // An earlier rev than the old one, and the same content as before.
    let mut new = SceneRepo::new(again.clone());
    let draft = new.draft_at(&[Write::Put(path("com.example.note/2"), content("old"))], b"sig", Tid::new(1, 0));
    cx.send(&mut new, draft).await?;
    assert_eq!(cx.db().record(&again, &path("com.example.note/1")).await?, None);
    assert_eq!(cx.db().history(&again, None, 10).await?.items.len(), 1);
    assert_eq!(cx.db().repo(&again, At::Rev(old.head.expect("a head").rev)).await?, None);
    cx.pass_window();
    cx.sweep().await?;
    let record = cx.db().record(&again, &path("com.example.note/2")).await?;
    assert_eq!(
        record.map(|r| r.bytes),
        Some(content("old").bytes),
        "the sweep of the old repo takes nothing of the new"
    );
    Ok(())
}

pub(crate) async fn accounts_deletion_spares_rows_given_up(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    let owned = |key: &str| Row { owner: Some(alice.clone()), ..row(key, "v") };
    cx.apply(&alice, vec![put_row(owned("given up")), put_row(owned("kept"))]).await?;
    let ops = vec![put_row(row("given up", "v")), put_row(owned("put at last")), Op::DeleteAccount];
    cx.apply(&alice, ops).await?;
    assert_eq!(cx.db().row(&row_key("given up")).await?, Some(row("given up", "v")));
    assert_eq!(cx.db().row(&row_key("kept")).await?, None);
    assert_eq!(cx.db().row(&row_key("put at last")).await?, None);
    Ok(())
}

pub(crate) async fn accounts_are_listed_in_pages(cx: Arc<Context>) -> Outcome {
    let mut words: Vec<String> = (0..23).map(|i| format!("u{i}")).collect();
    for word in &words {
        cx.account(word).await?;
    }
    cx.apply(&did("u7"), vec![Op::DeleteAccount]).await?;
    words.retain(|word| word != "u7");
    words.sort();
    let expected: Vec<Did> = words.iter().map(|word| did(word)).collect();
    for limit in [1, 7, 21, 22, 23, 1_000_000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = cx.db().accounts(after.as_ref(), limit).await?;
            found.extend(page.items.into_iter().map(|account| account.did));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    let between = cx.db().accounts(Some(&did("u7")), 1).await?;
    assert_eq!(
        between.items.first().map(|account| account.did.clone()),
        Some(did("u8")),
        "after one that is not there"
    );
    Ok(())
}

pub(crate) async fn accounts_longest_names_are_kept(cx: Arc<Context>) -> Outcome {
    let long_did: Did = format!("did:web:{}", "a".repeat(Did::BYTES_MAX - 8)).parse()?;
    let label = "h".repeat(61);
    let long_handle: Handle = format!("{label}.{label}.{label}.{}.{}", "i".repeat(61), "top").parse()?;
    let long_handle: Handle = format!("{}{long_handle}", "").parse()?;
    let long_email: Email = format!("{}@example.com", "e".repeat(254 - 12)).parse()?;
    cx.apply(&long_did, vec![new_account(Some(long_handle.clone()), Some(long_email.clone()))]).await?;
    cx.reopen().await;
    for name in [AccountName::Did(long_did.clone()), AccountName::Handle(long_handle), AccountName::Email(long_email)] {
        assert_eq!(cx.db().account(&name).await?.map(|account| account.did).as_ref(), Some(&long_did));
    }
    assert_eq!(cx.db().accounts(Some(&did("a")), 10).await?.items.len(), 1, "did:web sorts after did:plc");
    Ok(())
}

pub(crate) async fn accounts_addresses_of_every_script(cx: Arc<Context>) -> Outcome {
    let addresses =
        ["ÄÖÜ@beispiel.de", "用户@例子.广告", "ΣΊΣΥΦΟΣ@example.gr", "İstanbul@example.tr", "o'hara+tag@sub.example"];
    for (i, address) in addresses.iter().enumerate() {
        let did = did(&format!("u{i}"));
        cx.apply(&did, vec![new_account(None, Some(address.parse()?))]).await?;
        let lower: Email = address.to_lowercase().parse()?;
        assert_eq!(cx.db().account(&AccountName::Email(lower)).await?.map(|account| account.did), Some(did));
    }
    let shouted: Email = "äÖü@BEISPIEL.de".parse()?;
    cx.refused(&did("late"), vec![new_account(None, Some(shouted))], Reason::EmailTaken).await?;
    Ok(())
}

pub(crate) async fn accounts_every_status_is_kept(cx: Arc<Context>) -> Outcome {
    let alice = cx.account("alice").await?;
    for status in AccountStatus::ALL {
        if status == AccountStatus::Deleted {
            cx.refused(&alice, vec![Op::SetStatus(status)], Reason::BadRequest).await?;
            continue;
        }
        cx.apply(&alice, vec![Op::SetStatus(status)]).await?;
        assert_eq!(by_did(&cx, &alice).await?.expect("an account").status, status);
    }
    Ok(())
}
