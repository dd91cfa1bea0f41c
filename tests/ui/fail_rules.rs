//! Constraints that are none.
use fastws::payload;

#[payload]
struct Order {
    #[garde(lenght(min = 1))]
    symbol: String,
    #[garde(range(minimum = 1))]
    quantity: u32,
    #[garde(length(min = 1, max = ))]
    note: String,
    #[garde(inner(rnage(min = 1)))]
    legs: Vec<u32>,
}

fn main() {}
