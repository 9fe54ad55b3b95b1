use backend_api::{AccountId, Link, Micros, Pos, RepoId, RowKind, Sweep};

use super::super::key;
use super::{KEY, blob, block, check, did, email, handle, path, rev, row_key};

const REPO: RepoId = RepoId(0x0102);
const ACCOUNT: AccountId = AccountId(0x0304);

#[test]
fn golden_keys_of_the_engine() {
    check("key-mark", key::MARK);
    check("key-release-cursor", key::RELEASE);
    check("key-events-oldest", key::EVENTS_OLDEST);
}

#[test]
fn golden_keys_of_accounts() {
    check("key-account", &key::account(&did()));
    check("key-handle", &key::handle(&handle()));
    check("key-email", &key::email(&email()));
    check("key-receipt", &key::receipt(&did(), &KEY));
}

#[test]
fn golden_keys_of_repos() {
    let link = Link { field: "subject".into(), target: "did:plc:bob".into() };
    check("key-repo", &key::repo(REPO));
    check("key-block", &key::block(REPO, &block()));
    check("key-record", &key::record(REPO, &path()));
    check("key-commit", &key::commit(REPO, rev()));
    check("key-blob", &key::blob(ACCOUNT, &blob()));
    check("key-blob-use", &key::blob_use(REPO, &blob(), &path()));
    check("key-link", &key::link(REPO, &link, &path()));
    check("key-sweep-repo", &key::sweep(Sweep::Repo(REPO)));
    check("key-sweep-blobs", &key::sweep(Sweep::Blobs(ACCOUNT)));
    check("key-sweep-purge", &key::sweep(Sweep::Purge(REPO, Pos(9))));
}

#[test]
fn golden_keys_of_rows() {
    check("key-row", &key::row(&row_key()));
    check("key-row-unique", &key::row_unique(RowKind::Session, 1, b"one"));
    check("key-row-lookup", &key::row_lookup(1, b"one", &row_key()));
    check("key-row-owner", &key::row_owner(&did(), &row_key()));
    check("key-row-expiry", &key::row_expiry(Micros(0x0506), &row_key()));
}
