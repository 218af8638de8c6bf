//! Texts: where one must stand, patterns, and code lists.

use sqlparser::ast::{Expr, Function as Called};
use sqlparser::tokenizer::Location;

use super::aggregate::{Call as Parts, call, expression};
use super::compare::{no_null, text_literal};
use super::{Lowering, advice, nearest, place};
use crate::expr::{Any, Bool, Call, Codes, Pattern, PatternError, PatternKind, Text};
use crate::functions;
use crate::limits::shown;
use crate::refusal::Refusal;
use crate::sql::CODE_LIST;

/// What compiling a pattern counts, in nodes: the most nodes bound the number of patterns.
pub(super) const NODES_PER_PATTERN: usize = 100;

impl Lowering<'_> {
    /// A text.
    pub(super) fn text(&mut self, expr: &Expr) -> Result<Text, Refusal> {
        let value = self.any(expr)?;
        self.as_text(value, place(expr))
    }

    /// A text that is matched or looked up: NULL never is.
    fn matched(&mut self, expr: &Expr, negated: bool) -> Result<Text, Refusal> {
        let value = self.any(expr)?;
        no_null(&value, expr, negated)?;
        self.as_text(value, place(expr))
    }

    /// A value where a text must stand.
    pub(super) fn as_text(&self, value: Any, at: Location) -> Result<Text, Refusal> {
        match value {
            Any::Text(text) => Ok(text),
            Any::Null => Ok(Text::Null),
            Any::Category(column) => Text::category(column, &self.scope)
                .ok_or_else(|| Refusal::at(at, "a text is wanted here")),
            Any::Num(_) | Any::Date(_) | Any::Bool(_) => {
                Err(Refusal::at(at, "a text is wanted here").suggest(advice::TEXT_FROM_OTHER))
            }
        }
    }

    /// `left || right`: a chain of them is one call.
    pub(super) fn joined_texts(
        &mut self,
        left: Any,
        right: &Expr,
        at: Location,
    ) -> Result<Any, Refusal> {
        let right = Any::Text(self.text(right)?);
        let Some(concat) = functions::find("CONCAT") else {
            return Err(super::not_part(at, "'||'"));
        };
        let arguments = match left {
            Any::Text(Text::Call(Call {
                function,
                mut arguments,
            })) if function.name == concat.name => {
                arguments.push(right);
                arguments
            }
            left => vec![Any::Text(self.as_text(left, at)?), right],
        };
        self.made(concat, arguments, at)
    }

    pub(super) fn like(
        &mut self,
        value: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        ignore_case: bool,
        negated: bool,
    ) -> Result<Any, Refusal> {
        let escape = match escape {
            None => None,
            Some(written) => {
                let at = place(written);
                let one = text_literal(written).and_then(|text| {
                    let mut characters = text.chars();
                    characters.next().filter(|_| characters.next().is_none())
                });
                Some(one.ok_or_else(|| Refusal::at(at, "ESCAPE takes one character in quotes"))?)
            }
        };
        let kind = PatternKind::Like {
            ignore_case,
            escape,
        };
        let value = self.matched(value, negated)?;
        self.matches(value, pattern, kind, negated)
    }

    pub(super) fn regex(
        &mut self,
        value: &Expr,
        pattern: &Expr,
        ignore_case: bool,
        negated: bool,
    ) -> Result<Any, Refusal> {
        let value = self.matched(value, negated)?;
        self.matches(value, pattern, PatternKind::Regex { ignore_case }, negated)
    }

    pub(super) fn regexp_like(
        &mut self,
        arguments: &[&Expr],
        at: Location,
    ) -> Result<Any, Refusal> {
        let (value, pattern, flags) = match arguments {
            [value, pattern] => (value, pattern, None),
            [value, pattern, flags] => (value, pattern, Some(flags)),
            _ => return Err(Refusal::at(at, "REGEXP_LIKE takes a text and a pattern")),
        };
        let ignore_case = match flags.map(|f| (text_literal(f), place(f))) {
            None => false,
            Some((Some("i"), _)) => true,
            Some((_, at)) => return Err(Refusal::at(at, "the only flag is 'i': in any case")),
        };
        self.regex(value, pattern, ignore_case, false)
    }

    fn matches(
        &mut self,
        value: Text,
        pattern: &Expr,
        kind: PatternKind,
        negated: bool,
    ) -> Result<Any, Refusal> {
        let at = place(pattern);
        let Some(source) = text_literal(pattern) else {
            return Err(
                Refusal::at(at, "a pattern is a text in quotes, never a column")
                    .suggest("write the pattern itself"),
            );
        };
        self.node(NODES_PER_PATTERN, at)?;
        let pattern = Pattern::new(kind, source).map_err(|error| {
            let written = shown(source);
            match error {
                PatternError::Large => {
                    Refusal::at(at, format!("the pattern {written} is too large"))
                        .suggest("use fewer and shorter repetitions")
                }
                PatternError::Form => {
                    Refusal::at(at, format!("{written} is not a regular expression"))
                        .suggest("a sign meant as itself stands after \\")
                }
                PatternError::Property => {
                    Refusal::at(at, "classes of characters by property are not available")
                        .suggest("use \\w, \\d, \\s or a list such as [A-Z]")
                }
                PatternError::Escape => Refusal::at(
                    at,
                    format!("in {written} the escape character stands before something else"),
                )
                .suggest("it stands before %, _ or itself"),
            }
        })?;
        let value = Box::new(value);
        let matches = Bool::Matches { value, pattern };
        Ok(Any::Bool(self.maybe_not(matches, negated)))
    }

    /// A condition or its contrary; what labels decide is decided first, so that the contrary
    /// goes into the list.
    pub(super) fn maybe_not(&self, condition: Bool, negated: bool) -> Bool {
        let decided = super::labels::decided(condition, &self.scope);
        if negated {
            Bool::contrary(decided)
        } else {
            decided
        }
    }

    /// `x IN CODELIST('name@digest')`, if that is what it is.
    pub(super) fn in_codes(
        &mut self,
        value: &Expr,
        function: &Called,
        negated: bool,
    ) -> Option<Result<Any, Refusal>> {
        let name = function.name.to_string();
        name.eq_ignore_ascii_case(CODE_LIST)
            .then(|| self.code_list(value, function, negated))
    }

    fn code_list(
        &mut self,
        value: &Expr,
        function: &Called,
        negated: bool,
    ) -> Result<Any, Refusal> {
        let at = super::function_place(function);
        let Parts { arguments, .. } = call(function)?;
        let reference = match arguments.as_slice() {
            [one] => expression(one)?,
            _ => return Err(Refusal::at(at, "CODELIST takes the reference of one list")),
        };
        let at = place(reference);
        let Some(written) = text_literal(reference) else {
            return Err(Refusal::at(
                at,
                "the reference of a code list is a text in quotes",
            ));
        };
        let value = self.matched(value, negated)?;
        let Some(list) = self.lists.find(written) else {
            let known: Vec<String> = self.lists.iter().map(|l| l.reference()).collect();
            let refusal = Refusal::at(at, format!("there is no code list {}", shown(written)));
            return Err(if known.is_empty() {
                refusal.suggest("add the file of the list to the study")
            } else {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                refusal.suggest(nearest(written, &known, "the code lists"))
            });
        };
        let codes = Codes::of(list, &value);
        self.node(16, at)?;
        let value = Box::new(value);
        let listed = Bool::InCodes { value, codes };
        Ok(Any::Bool(if negated {
            Bool::contrary(listed)
        } else {
            listed
        }))
    }
}
