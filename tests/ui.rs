//! What the compiler says about mistakes, and what it accepts.
//!
//! Read the `.stderr` files as pages of the manual. After a change: `TRYBUILD=overwrite cargo test --test ui`, and read
//! them again.

#[test]
fn mistakes_are_named_where_they_are_made() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass_*.rs");
    cases.compile_fail("tests/ui/fail_*.rs");
}
