//! Who asks: passwords, tokens, sessions.

pub mod bearer;
pub mod password;
pub mod session;
pub mod token;
