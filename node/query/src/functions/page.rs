//! The page of the language.
/// x
pub fn page() -> String {
    String::new()
}
