use super::*;

#[test]
fn it_compiles() {}
