//! What must be true, in plain maps, from what was asked and granted and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use obscura_model::ids::KeyId;
use obscura_privacy::Mode;

use super::super::world::contribution;

/// A charge of a subject, from the definition of the code grid.
pub(super) fn charge(amount: i64, sigma: u64, price: u64) -> u64 {
    let q = amount as u128;
    let rho = (q * q * 1_000_000_000).div_ceil(2 * u128::from(sigma).pow(2));
    if rho == 0 {
        return 0;
    }
    let grid = (0..64u32).flat_map(|e| (0..256u128).map(move |r| (e, r)));
    let values = grid.map(|(e, r)| (u128::from(price) * (512 - r)).div_ceil(512u128 << e));
    values
        .take_while(|value| *value >= rho)
        .last()
        .unwrap_or(u128::from(price)) as u64
}

/// A population or a dataset with its own limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    pub(super) population: usize,
    pub(super) limit: u64,
    pub(super) strict: bool,
    pub(super) highest: u64,
    pub(super) meter: u64,
    /// Delta for keys: taken, allowed, and the most that was ever allowed.
    pub(super) keys: u64,
    pub(super) keys_limit: u64,
    pub(super) keys_highest: u64,
    /// By slot of the population.
    pub(super) exposures: Vec<u64>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct People {
    pub(super) most: usize,
    /// Merged into the other population.
    pub(super) gone: bool,
    pub(super) who: BTreeMap<u8, usize>,
    /// Ids that were said to be one person's.
    pub(super) linked: BTreeSet<(u8, u8)>,
    pub(super) marked: BTreeSet<u8>,
    pub(super) next: usize,
    pub(super) dead: BTreeSet<usize>,
    pub(super) joined: BTreeSet<usize>,
    pub(super) open: Option<Ask>,
    pub(super) stops: u32,
    pub(super) stopped: bool,
}

/// A study or grant.
#[derive(Debug, Clone)]
pub(super) struct Right {
    pub(super) grant: bool,
    pub(super) project: usize,
    /// Whose grant it is.
    pub(super) holder: KeyId,
    pub(super) dataset: usize,
    pub(super) begun: BTreeMap<usize, u32>,
    pub(super) times: u32,
    pub(super) taken: u64,
    /// Delta for keys.
    pub(super) keys: u64,
    pub(super) most: u64,
    pub(super) ended: bool,
}

/// One request, in the harness's words.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) who: KeyId,
    pub(super) request: u16,
    pub(super) right: usize,
    /// Which sigma, with its price.
    pub(super) release: usize,
    pub(super) complete: bool,
    pub(super) keys: u64,
    /// Whether what is released takes as much of delta, whatever was said.
    pub(super) understated: bool,
    /// The version of the dataset that it reads.
    pub(super) version: usize,
    pub(super) restarted: bool,
}

/// The slots with rows in a version, each with the id that they came under.
pub(super) type Rows = Vec<(usize, u8)>;

/// A price that was counted.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) who: KeyId,
    pub(super) right: usize,
    pub(super) price: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) members: BTreeSet<KeyId>,
    pub(super) waiting: BTreeSet<KeyId>,
    pub(super) limit: Option<u64>,
}

/// Sigmas, and their prices.
pub(super) const RELEASES: [(&str, u64, u64); 3] = [
    ("a", 250, 80_000_000),
    ("b", 500, 20_000_000),
    ("c", 1_000, 5_000_000),
];
/// What every account allows of delta for keys at first.
pub(super) const KEYS: u64 = 25;
/// What a release with keys that are not declared takes of delta.
pub(super) const RELEASE_KEYS: u64 = 10;

/// What a grant allows of it.
pub(super) const GRANT_KEYS: u64 = 20;

/// What each release of a study takes of delta for keys, as it was approved.
pub(super) fn approved_keys(release: usize) -> u64 {
    if release == 2 { RELEASE_KEYS } else { 0 }
}

/// What became of a request that got an id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Open,
    Answered,
    Poisoned,
}

/// The question of a request: who asks which release on which version of which dataset.
pub(super) type Plan = (KeyId, usize, usize, usize);

#[derive(Debug, Clone, Default)]
pub(super) struct Oracle {
    /// Two populations, then the dataset with its own limit.
    pub(super) books: Vec<Book>,
    pub(super) people: Vec<People>,
    /// The population of each dataset, and the slots with rows of each version.
    pub(super) datasets: Vec<(usize, Vec<Rows>)>,
    /// The first version of each dataset whose rows lie where its people are.
    pub(super) usable: Vec<usize>,
    pub(super) rights: Vec<Right>,
    pub(super) projects: Vec<Project>,
    pub(super) every: u64,
    pub(super) own: BTreeMap<KeyId, u64>,
    pub(super) intents: Vec<Counted>,
    /// With the body.
    pub(super) used: BTreeMap<(KeyId, u16), (String, End)>,
    /// The newest answered request of each question.
    pub(super) earlier: BTreeMap<Plan, (KeyId, u16)>,
}

impl Oracle {
    /// The books that a release of a dataset is counted in.
    pub(super) fn books_of(&self, dataset: usize) -> Vec<usize> {
        let own = (dataset == 0).then_some(2);
        [Some(self.datasets[dataset].0), own]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(super) fn sum(&self, of: impl Fn(&Counted) -> bool) -> u64 {
        let counted = self.intents.iter().filter(|intent| of(intent));
        counted.map(|intent| intent.price).sum()
    }

    pub(super) fn taken_by(&self, person: KeyId) -> u64 {
        self.sum(|intent| intent.who == person)
    }

    pub(super) fn taken_for(&self, project: usize) -> u64 {
        self.sum(|intent| self.rights[intent.right].project == project)
    }

    /// What approved studies other than this hold of a book.
    fn reserved(&self, book: usize, except: usize) -> u64 {
        let rights = self.rights.iter().enumerate();
        let others = rights.filter(|(n, right)| {
            // Studies are of the first version.
            *n != except && !right.grant && !right.ended && self.usable[right.dataset] == 1
        });
        let held = others.filter(|(_, right)| self.books_of(right.dataset).contains(&book));
        let outstanding = held.flat_map(|(_, right)| {
            RELEASES.iter().enumerate().map(|(n, (_, _, price))| {
                let begun = right.begun.get(&n).copied().unwrap_or(0);
                u64::from(right.times - begun) * price
            })
        });
        outstanding.sum()
    }

    fn authorised(&self, ask: &Ask) -> bool {
        let right = &self.rights[ask.right];
        let price = RELEASES[ask.release].2;
        let member = self.projects[right.project].members.contains(&ask.who);
        let begun = |n| right.begun.get(&n).copied().unwrap_or(0);
        let versions = self.datasets[right.dataset].1.len();
        let allowed = if right.grant {
            let runs: u32 = right.begun.values().sum();
            runs < right.times
                && right.holder == ask.who
                && right.taken + price <= right.most
                && right.keys + ask.keys <= GRANT_KEYS
                && ask.version == versions
        } else {
            // Studies were approved for the first version, on plain terms.
            begun(ask.release) < right.times
                && ask.version == 1
                && !ask.complete
                && ask.keys == approved_keys(ask.release)
        };
        let usable = ask.version >= self.usable[right.dataset];
        member && !right.ended && allowed && usable
    }

    /// Whether a request is granted.
    pub(super) fn grants(&self, ask: &Ask) -> bool {
        let right = &self.rights[ask.right];
        let (books, price) = (self.books_of(right.dataset), RELEASES[ask.release].2);
        let people = &self.people[self.datasets[right.dataset].0];
        let fits = |book: &Book, n: usize| {
            let strict =
                !book.strict || book.meter + price + self.reserved(n, ask.right) <= book.limit;
            let keys = ask.keys == 0 || book.keys + ask.keys <= book.keys_limit;
            strict && keys && price <= book.limit
        };
        let scientist = self.own.get(&ask.who).copied().unwrap_or(self.every);
        let project = self.projects[right.project].limit.unwrap_or(self.every);
        self.authorised(ask)
            && !ask.understated
            && !people.stopped
            && people.open.is_none()
            && books.iter().all(|n| fits(&self.books[*n], *n))
            && (!ask.complete || self.complete(ask))
            && self.taken_by(ask.who) + price <= scientist
            && self.taken_for(right.project) + price <= project
    }

    /// Whether every meter, this release included, is within its limit.
    pub(super) fn complete(&self, ask: &Ask) -> bool {
        let books = self.books_of(self.rights[ask.right].dataset);
        let price = RELEASES[ask.release].2;
        let within = |book: &Book| book.meter + price <= book.limit;
        books.iter().all(|n| within(&self.books[*n]))
    }

    pub(super) fn opened(&mut self, ask: &Ask) {
        let price = RELEASES[ask.release].2;
        let dataset = self.rights[ask.right].dataset;
        for book in self.books_of(dataset) {
            self.books[book].meter += price;
            self.books[book].keys += ask.keys;
        }
        let right = &mut self.rights[ask.right];
        *right.begun.entry(ask.release).or_default() += 1;
        right.taken += price;
        right.keys += ask.keys;
        self.intents.push(Counted {
            who: ask.who,
            right: ask.right,
            price,
        });
        let body = (format!("{ask:?}"), End::Open);
        self.used.insert((ask.who, ask.request), body);
        self.people[self.datasets[dataset].0].open = Some(ask.clone());
    }

    /// The slots that a commit charges, and how much.
    pub(super) fn commit(&mut self, population: usize, terms: &[(u64, Mode)]) -> Vec<(usize, u64)> {
        let ask = self.people[population].open.take().unwrap();
        let (dataset, (_, sigma, price)) = (self.rights[ask.right].dataset, RELEASES[ask.release]);
        let (books, people) = (self.books_of(dataset), &self.people[population]);
        let protect = terms.iter().any(|(_, mode)| *mode == Mode::Protect);
        let mut charged = Vec::new();
        for (slot, id) in self.datasets[dataset].1[ask.version - 1].clone() {
            let amount = charge(contribution(u32::from(id)), sigma, price);
            let marked = people
                .marked
                .iter()
                .any(|id| people.who.get(id) == Some(&slot));
            let exposures = || {
                books
                    .iter()
                    .map(|n| (&self.books[*n], self.books[*n].exposures[slot]))
            };
            let waits = people.joined.contains(&slot)
                && exposures().any(|(book, exposure)| exposure > book.meter - price);
            let mut fits = exposures()
                .zip(terms)
                .map(|((_, e), (limit, _))| e + amount <= *limit);
            let room = !protect || fits.all(|fits| fits);
            if amount > 0 && !marked && !waits && room && !people.dead.contains(&slot) {
                charged.push((slot, amount));
            }
        }
        self.end(&ask, End::Answered);
        let plan = (ask.who, ask.release, dataset, ask.version);
        self.earlier.insert(plan, (ask.who, ask.request));
        for (slot, amount) in &charged {
            for book in &books {
                self.books[*book].exposures[*slot] += amount;
            }
        }
        charged
    }

    fn end(&mut self, ask: &Ask, end: End) {
        self.used.get_mut(&(ask.who, ask.request)).unwrap().1 = end;
    }

    /// The earlier request whose answer a question gets, if it is offered one.
    pub(super) fn offered(&mut self, ask: &Ask) -> Option<(KeyId, u16)> {
        let plan = (
            ask.who,
            ask.release,
            self.rights[ask.right].dataset,
            ask.version,
        );
        let earlier = *self.earlier.get(&plan)?;
        let id = (ask.who, ask.request);
        if self.used.contains_key(&id) {
            return None;
        }
        self.used.insert(id, (format!("{ask:?}"), End::Answered));
        Some(earlier)
    }

    /// A begun release stopped. Gives whether it was given up.
    pub(super) fn stop(&mut self, population: usize) -> bool {
        let people = &mut self.people[population];
        people.stops += 1;
        people.stopped |= people.stops >= 3;
        if people.open.as_ref().is_some_and(|open| open.restarted) {
            let open = people.open.take().unwrap();
            self.rights[open.right].ended = true;
            self.end(&open, End::Poisoned);
            return true;
        }
        false
    }

    pub(super) fn mark(&mut self, population: usize, ids: &[u8]) {
        let people = &mut self.people[population];
        for id in ids {
            people.marked.extend(people.same(*id));
        }
    }

    pub(super) fn readmit(&mut self, population: usize, ids: &[u8]) {
        let people = &mut self.people[population];
        for id in ids
            .iter()
            .flat_map(|id| people.same(*id))
            .collect::<Vec<_>>()
        {
            people.marked.remove(&id);
        }
    }

    pub(super) fn rekey(&mut self, population: usize, pairs: &[(u8, u8)]) {
        self.people[population].linked.extend(pairs);
        for (id, _) in pairs {
            let same = self.people[population].same(*id);
            let who = &self.people[population].who;
            let slots: BTreeSet<usize> =
                same.iter().filter_map(|id| who.get(id)).copied().collect();
            let Some(keep) = slots.first().copied() else {
                continue;
            };
            for gone in slots.into_iter().skip(1) {
                self.join(population, keep, gone);
            }
            let all = same.into_iter().map(|id| (id, keep));
            self.people[population].who.extend(all);
        }
        self.people[population].spread_marks();
    }

    fn join(&mut self, population: usize, keep: usize, gone: usize) {
        for book in self
            .books
            .iter_mut()
            .filter(|book| book.population == population)
        {
            let (a, b) = (
                u128::from(book.exposures[keep]),
                u128::from(book.exposures[gone]),
            );
            let mut twice_root = ((4 * a * b) as f64).sqrt() as u128;
            while twice_root * twice_root < 4 * a * b {
                twice_root += 1;
            }
            while twice_root > 0 && (twice_root - 1) * (twice_root - 1) >= 4 * a * b {
                twice_root -= 1;
            }
            book.exposures[keep] = (a + b + twice_root) as u64;
        }
        let people = &mut self.people[population];
        people.dead.insert(gone);
        people.joined.remove(&gone);
        people.joined.insert(keep);
        for slot in people.who.values_mut().filter(|slot| **slot == gone) {
            *slot = keep;
        }
    }

    /// What an ingest does with each id, or nothing if there are too many.
    pub(super) fn ingest(&mut self, dataset: usize, ids: &[u8]) -> Option<Vec<Option<usize>>> {
        let population = self.datasets[dataset].0;
        let mut people = self.people[population].clone();
        let (mut places, mut rows) = (Vec::new(), BTreeMap::new());
        for id in ids {
            let place = if people.marked.contains(id) {
                None
            } else if let Some(slot) = people.who.get(id) {
                Some(*slot)
            } else if people.next < people.most {
                let slot = people.next;
                let all = people.same(*id).into_iter().map(|id| (id, slot));
                people.who.extend(all);
                people.next += 1;
                Some(slot)
            } else {
                return None;
            };
            places.push(place);
            if let Some(slot) = place {
                rows.entry(slot).or_insert(*id);
            }
        }
        self.people[population] = people;
        self.datasets[dataset].1.push(rows.into_iter().collect());
        Some(places)
    }
}

impl People {
    /// Every id of the same person, and the id itself.
    pub(super) fn same(&self, id: u8) -> Vec<u8> {
        let mut same = BTreeSet::from([id]);
        loop {
            let mut more = same.clone();
            for (a, b) in &self.linked {
                if same.contains(a) || same.contains(b) {
                    more.extend([*a, *b]);
                }
            }
            let slots: BTreeSet<_> = same.iter().filter_map(|id| self.who.get(id)).collect();
            let others = self.who.iter().filter(|(_, slot)| slots.contains(slot));
            more.extend(others.map(|(id, _)| *id));
            if more == same {
                return same.into_iter().collect();
            }
            same = more;
        }
    }

    /// Every id that was ever heard of.
    pub(super) fn ids(&self) -> BTreeSet<u8> {
        let linked = self.linked.iter().flat_map(|(a, b)| [*a, *b]);
        let others = self.who.keys().chain(&self.marked).copied();
        linked.chain(others).collect()
    }

    pub(super) fn spread_marks(&mut self) {
        for id in self.marked.clone() {
            self.marked.extend(self.same(id));
        }
    }
}
