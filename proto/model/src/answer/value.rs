//! How outputs follow from noisy sums: trees of released values and of post-processing over them.
//!
//! Nothing here can name a row: the leaves are vectors of the release, numbers of the query text
//! and positions of group keys. Whatever is computed from them costs no exposure.

/// A bounded column inside a moment: the vector of sums of `x - middle`, which lies within
/// `half` on either side of 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Centred {
    /// The vector of sums of (x - middle).
    pub sum: usize,
    /// The middle of the bounds.
    pub middle: f64,
    /// Half the distance between the bounds.
    pub half: f64,
}

/// First and second moment of a bounded column. The squares are taken about the middle too: with
/// h = `half` their vector sums `(x - middle)^2 - h^2/2`, which lies within h^2/2 on either side
/// of 0. Against summing `(x - middle)^2` itself this halves the clip norm, and so lessens the
/// variance of the mean square at one price from `h^4 s` to `(h^4/4 + (v - h^2/2)^2) s`, at most
/// `h^4 s / 2`, whatever the mean square v is; it is the same argument as for an average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// The column and its first moment.
    pub centred: Centred,
    /// The vector of sums of `(x - middle)^2 - half^2 / 2`.
    pub squares: usize,
}

/// A public tree of counts over an interval. Level after level the same interval is cut finer:
/// the last level has the leaves, of equal width, and each node of another level stands for
/// [`Tree::BRANCHING`] neighbours of the next (the last one for what is left).
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// One vector for each level, the coarsest first; its parts are the level's nodes.
    pub levels: Vec<usize>,
    /// How many leaves the last level has.
    pub leaves: u32,
    /// The lower edge of the first leaf.
    pub first_edge: f64,
    /// The upper edge of the last leaf.
    pub last_edge: f64,
    /// The lower bound of what is read off.
    pub lowest: f64,
    /// The upper bound of what is read off.
    pub highest: f64,
}

impl Tree {
    /// The width of a leaf.
    #[must_use]
    pub fn leaf_width(&self) -> f64 {
        (self.last_edge - self.first_edge) / f64::from(self.leaves.max(1))
    }

    /// How many nodes of the next level a node stands for.
    pub const BRANCHING: usize = 4;

    /// How many nodes each level has, the coarsest first, if the last has `leaves`.
    #[must_use]
    pub fn sizes(leaves: usize) -> Vec<usize> {
        let mut sizes = vec![leaves.max(1)];
        while let Some(&last) = sizes.last().filter(|s| **s > Self::BRANCHING) {
            sizes.push(last.div_ceil(Self::BRANCHING));
        }
        sizes.reverse();
        sizes
    }
}

/// An operation on released values. Conditions are 1 (true), 0 (false) or missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// a + b.
    Add,
    /// a - b.
    Subtract,
    /// a * b.
    Multiply,
    /// a / b; missing if b is 0.
    Divide,
    /// -a.
    Negate,
    /// To so many digits after the point (second argument), halves away from 0.
    Round,
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
    /// Without its sign.
    Abs,
    /// The square root; of what is below 0 it is 0 (a noisy value of something never negative).
    Sqrt,
    /// The natural logarithm; missing unless above 0.
    Ln,
    /// e to the power of a.
    Exp,
    /// The least.
    Least,
    /// The greatest.
    Greatest,
    /// The first that is not missing.
    Coalesce,
    /// The first, but missing if it equals the second.
    NullIf,
    /// Condition, value, condition, value, ..., and at the end the value otherwise, if any.
    Case,
    /// a = b.
    Equal,
    /// a <> b.
    NotEqual,
    /// a < b.
    Less,
    /// a <= b.
    LessOrEqual,
    /// a > b.
    Greater,
    /// a >= b.
    GreaterOrEqual,
    /// All hold.
    And,
    /// At least one holds.
    Or,
    /// It does not hold.
    Not,
    /// There is no value.
    IsMissing,
}

impl Function {
    /// All functions, in an order that never changes: the position is the number on the wire.
    pub const ALL: [Function; 27] = [
        Function::Add,
        Function::Subtract,
        Function::Multiply,
        Function::Divide,
        Function::Negate,
        Function::Round,
        Function::Floor,
        Function::Ceil,
        Function::Abs,
        Function::Sqrt,
        Function::Ln,
        Function::Exp,
        Function::Least,
        Function::Greatest,
        Function::Coalesce,
        Function::NullIf,
        Function::Case,
        Function::Equal,
        Function::NotEqual,
        Function::Less,
        Function::LessOrEqual,
        Function::Greater,
        Function::GreaterOrEqual,
        Function::And,
        Function::Or,
        Function::Not,
        Function::IsMissing,
    ];

    /// How many arguments it takes, at least and at most.
    #[must_use]
    pub const fn arity(self) -> (usize, usize) {
        use Function as F;
        match self {
            F::Negate
            | F::Floor
            | F::Ceil
            | F::Abs
            | F::Sqrt
            | F::Ln
            | F::Exp
            | F::Not
            | F::IsMissing => (1, 1),
            F::Add
            | F::Subtract
            | F::Multiply
            | F::Divide
            | F::Round
            | F::NullIf
            | F::Equal
            | F::NotEqual
            | F::Less
            | F::LessOrEqual
            | F::Greater
            | F::GreaterOrEqual => (2, 2),
            F::Least | F::Greatest | F::Coalesce | F::And | F::Or => (1, usize::MAX),
            F::Case => (2, usize::MAX),
        }
    }
}

/// How an output follows from vectors (positions in [`Shape::vectors`](super::Shape::vectors)).
#[derive(Debug, Clone, PartialEq)]
pub enum OutputKind {
    /// A number of rows.
    Count {
        /// The count vector.
        vector: usize,
    },
    /// A number of subjects.
    Subjects {
        /// The count vector.
        vector: usize,
    },
    /// A sum.
    Sum {
        /// The sum vector.
        vector: usize,
    },
    /// An average: `middle` plus the centred sum over the count, clamped to the bounds.
    Average {
        /// The vector of sums of (value - middle).
        sum: usize,
        /// The vector of counts.
        count: usize,
        /// The middle of the bounds.
        middle: f64,
        /// The lower bound.
        lowest: f64,
        /// The upper bound.
        highest: f64,
    },
    /// The mean square about the mean, never below 0.
    Variance {
        /// The moments.
        x: Moments,
        /// The vector of counts.
        count: usize,
        /// Whether it is divided by the count less one.
        sample: bool,
    },
    /// The mean product about the means.
    Covariance {
        /// The first moment of one column, over the rows in which both are known.
        x: Centred,
        /// That of the other.
        y: Centred,
        /// The vector of sums of the products of (value - middle).
        products: usize,
        /// The vector of counts.
        count: usize,
        /// Whether it is divided by the count less one.
        sample: bool,
    },
    /// Pearson's correlation, from -1 to 1.
    Correlation {
        /// The moments of one column, over the rows in which both are known.
        x: Moments,
        /// Those of the other.
        y: Moments,
        /// The vector of sums of the products of (value - middle).
        products: usize,
        /// The vector of counts.
        count: usize,
    },
    /// The value below which a share of the rows lies, read off a tree of counts.
    Quantile {
        /// The tree.
        tree: Tree,
        /// The share, above 0 and below 1.
        share: f64,
    },
    /// How many declared categories occur, at least: those whose noisy number of subjects is
    /// above a threshold that no empty category passes, 95 times in 100.
    Categories {
        /// The vector of numbers of subjects, one part for each category.
        vector: usize,
    },
    /// The number of active subjects over the declared number. Read in releases that have it; new
    /// ones tell the number itself, as [`OutputKind::Subjects`].
    Coverage {
        /// The count vector.
        vector: usize,
        /// The declared number of subjects.
        declared: u64,
    },
    /// A number of the query text.
    Literal(f64),
    /// No value.
    Missing,
    /// The position of the cell's label in a group key.
    KeyPosition(usize),
    /// Whether the cell's label in a group key is one of these, by ascending position.
    KeyAmong {
        /// The group key.
        key: usize,
        /// The positions of the labels.
        labels: Vec<usize>,
    },
    /// Post-processing.
    Apply(Function, Vec<OutputKind>),
}

impl OutputKind {
    /// Calls `each` with every vector that is named, and whether it is a count of rows or subjects.
    pub fn vectors(&self, each: &mut dyn FnMut(usize, bool)) {
        match self {
            OutputKind::Count { vector }
            | OutputKind::Subjects { vector }
            | OutputKind::Categories { vector } => each(*vector, true),
            OutputKind::Sum { vector } => each(*vector, false),
            OutputKind::Coverage {
                vector,
                declared: _,
            } => each(*vector, false),
            OutputKind::Average { sum, count, .. } => {
                each(*sum, false);
                each(*count, true);
            }
            OutputKind::Variance { x, count, .. } => {
                each(x.centred.sum, false);
                each(x.squares, false);
                each(*count, true);
            }
            OutputKind::Covariance {
                x,
                y,
                products,
                count,
                sample: _,
            } => {
                for vector in [x.sum, y.sum, *products] {
                    each(vector, false);
                }
                each(*count, true);
            }
            OutputKind::Correlation {
                x,
                y,
                products,
                count,
            } => {
                let both = [x.centred.sum, x.squares, y.centred.sum, y.squares];
                both.into_iter().for_each(|v| each(v, false));
                each(*products, false);
                each(*count, true);
            }
            OutputKind::Quantile { tree, share: _ } => {
                tree.levels.iter().for_each(|v| each(*v, true));
            }
            OutputKind::Literal(_)
            | OutputKind::Missing
            | OutputKind::KeyPosition(_)
            | OutputKind::KeyAmong { .. } => {}
            OutputKind::Apply(_, arguments) => arguments.iter().for_each(|a| a.vectors(each)),
        }
    }

    /// The vectors that are named, each once, ascending.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        let mut used = Vec::new();
        self.vectors(&mut |v, _| used.push(v));
        used.sort_unstable();
        used.dedup();
        used
    }
}
