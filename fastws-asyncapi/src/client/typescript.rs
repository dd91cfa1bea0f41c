//! The TypeScript client.

use crate::contract::Contract;

/// Writes the TypeScript client of a contract.
pub fn typescript(_contract: &Contract) -> String {
    String::new()
}

/// Writes the React hook that stands beside the TypeScript client.
pub fn react(_contract: &Contract) -> String {
    String::new()
}
