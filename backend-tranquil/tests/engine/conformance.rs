//! The embedded engine passes the whole suite.

/// With the default sizes.
mod usual {
    use crate::common::TranquilFixture;
    conformance::suite!(TranquilFixture::new(false));
}

/// With sizes so small that files, segments and memtables come to their end within a case.
mod small {
    use crate::common::TranquilFixture;
    conformance::suite!(TranquilFixture::new(true));
}
