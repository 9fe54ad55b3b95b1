//! The model passes the whole suite.

use conformance::{ModelFixture, Options};

const OPTIONS: Options =
    Options { history_window_micros: 72 * 3_600_000_000, event_retention_micros: 100 * 3_600_000_000 };

conformance::suite!(ModelFixture::new(OPTIONS));

/// Events that go before the history does.
mod short_retention {
    use super::{ModelFixture, Options};

    const OPTIONS: Options = Options { history_window_micros: 7_200_000_000, event_retention_micros: 3_600_000_000 };

    conformance::suite!(ModelFixture::new(OPTIONS));
}
