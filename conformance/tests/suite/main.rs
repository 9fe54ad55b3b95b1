//! The suite certifies the model, and its table of cases is whole.

mod history;
mod model;
mod passed_over;
mod promises;
