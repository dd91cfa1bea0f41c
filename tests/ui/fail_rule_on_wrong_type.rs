//! A rule that the field's type does not have.
use fastws::payload;

#[payload]
struct Order {
    #[garde(length(min = 1))]
    quantity: u32,
    #[garde(range(min = 1))]
    symbol: String,
}

fn main() {}
