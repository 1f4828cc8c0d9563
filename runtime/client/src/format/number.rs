//! Numbers of templates, compared as they are written: to the last digit, and without the 14 kB that
//! reading binary fractions takes.

use std::cmp::Ordering;

/// A decimal number: 0.DIGITS times ten to the power of `exponent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    /// Without zeros at either end; none: the number is zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Number {
    /// Reads `-12.5e3` and the like.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            all => (false, all),
        };
        let power = rest.iter().position(|letter| matches!(letter, b'e' | b'E'));
        let (mantissa, power) = rest.split_at(power.unwrap_or(rest.len()));
        let power: i32 = match power {
            [] => 0,
            [_, power @ ..] => std::str::from_utf8(power).ok()?.parse().ok()?,
        };
        let point = mantissa.iter().position(|letter| *letter == b'.');
        let (whole, fraction) = mantissa.split_at(point.unwrap_or(mantissa.len()));
        let fraction = fraction.strip_prefix(b".").unwrap_or_default();
        let mut digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = whole.len() as i64 - zeros as i64 + i64::from(power);
        Some(Self { negative, digits, exponent })
    }

    pub(super) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let size = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if sign(self) < 0 => size.reverse(),
            Ordering::Equal if sign(self) > 0 => size,
            unequal => unequal,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_by_size() {
        let ordered = [
            "-1e3",
            "-999.5",
            "-10",
            "-9",
            "-0.02",
            "-0.011",
            "0",
            "1e-9",
            "0.011",
            ".02",
            "1",
            "1.05",
            "1.5",
            "9",
            "10",
            "10.0001",
            "99",
            "9007199254740992",
            "9007199254740993",
            "1e30",
        ];
        let numbers: Vec<Number> =
            ordered.iter().map(|text| Number::parse(text).expect(text)).collect();
        for pair in numbers.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        for (one, other) in [("1", "+1.00"), ("0", "-0.0e5"), ("120", "1.2E2"), ("0.5", "500e-3")] {
            assert_eq!(Number::parse(one), Number::parse(other), "{one} {other}");
        }
    }

    #[test]
    fn words_are_no_numbers() {
        for text in ["", "-", ".", "1.2.3", "e5", "1e", "1e99999999999", "0x10", "inf", "1 ", "--1"]
        {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }
}
