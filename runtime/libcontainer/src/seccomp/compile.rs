//! From a policy to classic BPF.
//!
//! Jumps go forward only and at most 255 instructions far, so the program is written from its end:
//! whatever a jump leads to is there already, and its distance is known. Where it is too far, an
//! unconditional jump, which has 32 bits, is put in between.

use super::calls::{self, Abi};
use super::policy::{Action, Comparison, KILL_PROCESS, Policy, Test};
use base::sys::seccomp::{Instruction, bpf};
use base::{Error, Result};

/// The most instructions that the kernel takes (BPF_MAXINSNS).
const MOST: usize = 4096;
/// The set bit in the number of a call by x32.
const X32: u32 = 0x4000_0000;

/// No call has a number from here on (those of MIPS begin at 4000),
const LOW: usize = 4608;
/// but for ARM's private ones.
const FIRST_PRIVATE: u32 = 0xf0000;
const PRIVATE: usize = 8;

const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// A place in the program, counted from its end.
type Label = usize;

struct Compiler<'a> {
    policy: &'a Policy,
    /// Written from the end.
    code: Vec<Instruction>,
    /// Where each action was written last.
    actions: Vec<(Action, Label)>,
    /// Where the tests of each verdict were written.
    verdicts: Vec<Option<Label>>,
}

/// The numbers from one to before the next, and what shall happen to them.
type Range = (u32, Outcome);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Action(Action),
    /// The verdict of this number, which depends on arguments.
    Rules(u8),
}

/// What a verdict comes to: those that come to the same make one range.
fn outcome(policy: &Policy, verdict: u8) -> Outcome {
    match policy.verdicts.get(usize::from(verdict)).map(Vec::as_slice) {
        None | Some([]) => Outcome::Action(policy.default),
        Some([rule, ..]) if rule.tests.is_empty() => Outcome::Action(rule.action),
        _ => Outcome::Rules(verdict),
    }
}

pub(super) fn compile(policy: &Policy) -> Result<Vec<Instruction>> {
    let mut compiler = Compiler {
        policy,
        code: Vec::with_capacity(512),
        actions: Vec::new(),
        verdicts: vec![None; policy.verdicts.len()],
    };
    let mut entries = Vec::new();
    for abi in &policy.abis {
        let ranges = ranges(policy, abi);
        // A call's tests are compiled anew for each ABI: nothing is too far then.
        compiler.verdicts.fill(None);
        let label = compiler.tree(&ranges);
        compiler.lead_to(label);
        if is_x86_64(abi) && policy.x32 {
            // Its calls have the same numbers, but for those that x86-64 does not use.
            compiler.emit(AND, !X32, 0, 0);
        } else if is_x86_64(abi) {
            let label = compiler.here();
            let foreign = compiler.action(KILL_PROCESS);
            compiler.branch(AT_LEAST, X32, foreign, label);
        }
        entries.push((abi.audit, compiler.load(bpf::CALL)));
    }
    let mut label = compiler.action(KILL_PROCESS);
    for (audit, entry) in entries {
        label = compiler.branch(EQUAL, audit, entry, label);
    }
    compiler.load(bpf::ARCH);
    let mut code = compiler.code;
    if code.len() > MOST {
        return Err(Error::bad_input("seccomp profile: more than 4096 instructions"));
    }
    code.reverse();
    Ok(code)
}

fn is_x86_64(abi: &Abi) -> bool {
    cfg!(target_arch = "x86_64") && abi.audit >> 31 == 1
}

/// What happens to which numbers, without holes and repetitions, the lowest first.
fn ranges(policy: &Policy, abi: &Abi) -> Vec<Range> {
    let mut verdicts = vec![0_u8; LOW + PRIVATE];
    let mut end = 0;
    let mut add = |call: usize, number: u32| {
        let place =
            if number < FIRST_PRIVATE { number } else { number - FIRST_PRIVATE + LOW as u32 };
        if let (Some(place), Some(verdict)) =
            (verdicts.get_mut(place as usize), policy.calls.get(call))
            && *verdict != 0
        {
            *place = *verdict;
            end = end.max(number + 1);
        }
    };
    for call in 0..calls::COUNT {
        if let Some(number) = abi.number(call) {
            add(call, number);
        }
    }
    if policy.x32 && is_x86_64(abi) {
        for (call, number) in calls::x32_numbers() {
            add(usize::from(*call), u32::from(*number));
        }
    }
    let mut ranges: Vec<Range> = Vec::with_capacity(128);
    let mut push = |start: u32, outcome| {
        if ranges.last().is_none_or(|(_, last)| *last != outcome) {
            ranges.push((start, outcome));
        }
    };
    let (low, private) = verdicts.split_at(LOW);
    for (number, verdict) in (0..end).zip(low) {
        push(number, outcome(policy, *verdict));
    }
    for (number, verdict) in (FIRST_PRIVATE..end).zip(private) {
        push(number, outcome(policy, *verdict));
    }
    push(end, Outcome::Action(policy.newer));
    ranges
}

impl Compiler<'_> {
    /// The place of what was written last.
    fn here(&self) -> Label {
        self.code.len() - 1
    }

    fn emit(&mut self, code: u16, constant: u32, jump_true: usize, jump_false: usize) -> Label {
        let (jump_true, jump_false) = (jump_true as u8, jump_false as u8);
        self.code.push(Instruction { code, jump_true, jump_false, constant });
        self.here()
    }

    fn load(&mut self, offset: u32) -> Label {
        self.emit(LOAD, offset, 0, 0)
    }

    /// How many instructions lie between the next one to be written and this place.
    fn distance(&self, label: Label) -> usize {
        self.code.len() - label - 1
    }

    /// The place, or one near enough that leads there.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        if distance < 250 { label } else { self.emit(JUMP, distance as u32, 0, 0) }
    }

    /// What is written next is followed by this.
    fn lead_to(&mut self, label: Label) {
        if label != self.here() {
            let distance = self.distance(label);
            self.emit(JUMP, distance as u32, 0, 0);
        }
    }

    fn branch(&mut self, code: u16, constant: u32, then: Label, otherwise: Label) -> Label {
        let then = self.near(then);
        let otherwise = self.near(otherwise);
        self.emit(code, constant, self.distance(then), self.distance(otherwise))
    }

    fn action(&mut self, action: Action) -> Label {
        let place = self.actions.iter().position(|(known, _)| *known == action);
        if let Some((_, label)) = place.and_then(|place| self.actions.get(place))
            && self.distance(*label) < 200
        {
            return *label;
        }
        let label = self.emit(RETURN, action, 0, 0);
        match place.and_then(|place| self.actions.get_mut(place)) {
            Some(known) => known.1 = label,
            None => self.actions.push((action, label)),
        }
        label
    }

    /// The tree over these ranges, of which there is at least one.
    fn tree(&mut self, ranges: &[Range]) -> Label {
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        match (lower, upper) {
            ([], [(_, outcome), ..]) => self.outcome(*outcome),
            (_, [(start, _), ..]) => {
                let upper = self.tree(upper);
                let lower = self.tree(lower);
                self.branch(AT_LEAST, *start, upper, lower)
            }
            (_, []) => self.action(self.policy.default),
        }
    }

    fn outcome(&mut self, outcome: Outcome) -> Label {
        let number = match outcome {
            Outcome::Action(action) => return self.action(action),
            Outcome::Rules(number) => usize::from(number),
        };
        let policy = self.policy;
        let rules = policy.verdicts.get(number).map_or(&[][..], Vec::as_slice);
        if let Some(Some(label)) = self.verdicts.get(number) {
            return *label;
        }
        let mut otherwise = self.action(policy.default);
        for rule in rules.iter().rev() {
            let mut then = self.action(rule.action);
            for test in rule.tests.iter().rev() {
                then = self.test(test, then, otherwise);
            }
            otherwise = then;
        }
        if let Some(known) = self.verdicts.get_mut(number) {
            *known = Some(otherwise);
        }
        otherwise
    }

    /// One test of an argument of 64 bits, in two words.
    fn test(&mut self, test: &Test, then: Label, otherwise: Label) -> Label {
        use Comparison::{
            Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual,
        };
        let (code, mask, then, otherwise) = match test.comparison {
            Equal => (EQUAL, u64::MAX, then, otherwise),
            NotEqual => (EQUAL, u64::MAX, otherwise, then),
            MaskedEqual(mask) => (EQUAL, mask, then, otherwise),
            Greater => (GREATER, u64::MAX, then, otherwise),
            LessOrEqual => (GREATER, u64::MAX, otherwise, then),
            GreaterOrEqual => (AT_LEAST, u64::MAX, then, otherwise),
            Less => (AT_LEAST, u64::MAX, otherwise, then),
        };
        let low = bpf::argument(u32::from(test.argument));
        let high = low ^ 4;
        self.branch(code, test.value as u32, then, otherwise);
        let label = self.masked_load(low, mask as u32);
        if test.word {
            return label;
        }
        // The upper words decide unless they are equal.
        let upper = (test.value >> 32) as u32;
        let label = self.branch(EQUAL, upper, label, otherwise);
        if code != EQUAL {
            self.branch(GREATER, upper, then, label);
        }
        self.masked_load(high, (mask >> 32) as u32)
    }

    /// Loads a word for what was written last.
    fn masked_load(&mut self, offset: u32, mask: u32) -> Label {
        if mask != u32::MAX {
            self.emit(AND, mask, 0, 0);
        }
        self.load(offset)
    }
}
