//! What a face is asked to be: classes of age, or of digits.

use anyhow::Result;
use gan_core::config::illegal;

/// Classes in their order: ages in years that lie between bounds, or ten digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// The first age in whole years of every class but the first, which begins at 0.
    Ages(Vec<u32>),
    /// 0 to 9.
    Digits,
}

impl Classes {
    /// Ages from the first years of all classes but the first: `19,30,40,50,60` are the paper's six (section 3).
    ///
    /// # Errors
    /// [`gan_core::failure::Kind::Usage`] when they are not whole years in increasing order from 1 to 120.
    pub fn ages(text: &str) -> Result<Self> {
        let bounds: Option<Vec<u32>> = text
            .split(',')
            .map(|part| part.trim().parse().ok())
            .collect();
        let is_legal = |bounds: &Vec<u32>| {
            bounds.iter().all(|age| (1..=120).contains(age))
                && bounds.windows(2).all(|pair| pair[0] < pair[1])
        };
        bounds.filter(is_legal).map(Self::Ages).ok_or_else(|| {
            let rule =
                "the first years of all classes but the first, increasing, such as 19,30,40,50,60";
            illegal("ages", format!("{text:?}"), rule)
        })
    }

    /// How many there are; at least 2.
    pub fn count(&self) -> usize {
        match self {
            Self::Ages(bounds) => bounds.len() + 1,
            Self::Digits => 10,
        }
    }

    /// The class of an age in years.
    pub fn of(&self, age: f32) -> usize {
        match self {
            Self::Ages(bounds) => bounds.iter().filter(|bound| age >= **bound as f32).count(),
            Self::Digits => age as usize,
        }
    }

    /// What a person calls a class: `19-29`, `60+`, `7`.
    pub fn name(&self, class: usize) -> String {
        let Self::Ages(bounds) = self else {
            return class.to_string();
        };
        let first = if class == 0 { 0 } else { bounds[class - 1] };
        match bounds.get(class) {
            Some(next) => format!("{first}-{}", next - 1),
            None => format!("{first}+"),
        }
    }

    /// The names of all.
    pub fn names(&self) -> Vec<String> {
        (0..self.count()).map(|class| self.name(class)).collect()
    }

    /// The middle of a class, in years; the last one is taken to be 20 years long.
    pub fn middle(&self, class: usize) -> f32 {
        let Self::Ages(bounds) = self else {
            return class as f32;
        };
        let first = if class == 0 { 0 } else { bounds[class - 1] };
        let next = bounds.get(class).copied().unwrap_or(first + 20);
        (first + next) as f32 / 2.0
    }

    /// A class as the condition y: 1 in its place, 0 elsewhere.
    pub fn condition(&self, class: usize) -> Vec<f32> {
        let mut condition = vec![0.0; self.count()];
        condition[class] = 1.0;
        condition
    }

    /// An age as a condition between those of the two classes whose middles it lies between. No training has seen one:
    /// it is for walks from one class to another.
    pub fn between(&self, age: f32) -> Vec<f32> {
        let count = self.count();
        let above = (0..count).position(|class| self.middle(class) >= age);
        match above {
            Some(0) => self.condition(0),
            None => self.condition(count - 1),
            Some(above) => {
                let (from, to) = (self.middle(above - 1), self.middle(above));
                let share = (age - from) / (to - from);
                let mut condition = vec![0.0; count];
                condition[above - 1] = 1.0 - share;
                condition[above] = share;
                condition
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_six_classes() {
        let ages = Classes::ages("19,30,40,50,60").unwrap();
        assert_eq!(
            ages.names(),
            ["0-18", "19-29", "30-39", "40-49", "50-59", "60+"]
        );
        let classes: Vec<usize> = [0.0, 18.9, 19.0, 29.0, 30.0, 59.5, 60.0, 116.0]
            .into_iter()
            .map(|age| ages.of(age))
            .collect();
        assert_eq!(classes, [0, 0, 1, 1, 2, 4, 5, 5]);
        for class in 0..ages.count() {
            assert_eq!(ages.of(ages.middle(class)), class);
        }
    }

    #[test]
    fn a_walk_passes_the_classes_themselves() {
        let ages = Classes::ages("19,30,40,50,60").unwrap();
        for class in 0..ages.count() {
            assert_eq!(ages.between(ages.middle(class)), ages.condition(class));
        }
        assert_eq!(ages.between(2.0), ages.condition(0));
        assert_eq!(ages.between(99.0), ages.condition(5));
        let halfway = ages.between((ages.middle(1) + ages.middle(2)) / 2.0);
        assert_eq!(halfway, [0.0, 0.5, 0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn bounds_that_are_none_are_refused() {
        for text in ["", "30,20", "19,19", "0,20", "19;30", "200"] {
            let error = Classes::ages(text).unwrap_err();
            assert!(error.to_string().starts_with("ages"), "{error}");
        }
        assert_eq!(Classes::ages("18").unwrap().names(), ["0-17", "18+"]);
    }
}
