//! The Python client.

use crate::contract::Contract;

/// Writes the Python client of a contract.
pub fn python(_contract: &Contract) -> String {
    String::new()
}
