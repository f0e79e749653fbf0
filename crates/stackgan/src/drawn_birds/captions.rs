//! Sentences about a drawn bird, as people wrote them for CUB: plain, lower case, American.
//!
//! A sentence is a frame with six slots. What fills a slot belongs to one value only, so every sentence tells every
//! attribute.

use super::{Attributes, Bill, Crest, Shape, Size, Wings};
use gan_core::random::Stream;

/// Slots: `[size]` adjective, `[shape]` noun, `[colour]` adjective, `[wings]` plural, `[bill]` and `[crest]` with their
/// articles.
const FRAMES: [&str; 40] = [
    "this [size] [shape] has a [colour] body with [wings], [bill] and [crest].",
    "this is a [size] [colour] [shape] with [wings], [bill] and [crest].",
    "a [size] [shape] with a [colour] breast and belly, [wings], [bill], and [crest].",
    "the [size] [shape] is [colour] and has [wings], [bill] and [crest].",
    "a [colour] [shape] that is [size], with [bill], [crest] and [wings].",
    "this [shape] is [colour] all over its body, has [wings] and [bill], [crest], and is [size].",
    "this [colour] [shape] is [size]; it has [crest], [bill] and [wings].",
    "with [bill] and [crest], this [size] [shape] has a [colour] body and [wings].",
    "a [size] [colour] [shape] that has [crest], [wings] and [bill].",
    "the body of this [size] [shape] is [colour], and it has [wings], [bill] and [crest].",
    "this bird is a [size] [shape] with [colour] feathers, [wings], [crest] and [bill].",
    "a [size] bird with a [colour] body, [wings], [bill] and [crest]; it is a [shape].",
    "[colour] [shape] with [wings], [bill] and [crest], overall [size].",
    "this [size] [shape] is mostly [colour], with [bill], [wings] and [crest].",
    "it has [wings] and [bill], [crest], a [colour] belly, and it is a [size] [shape].",
    "the [shape] in the picture is [size] and [colour], has [crest] and [bill], and shows [wings].",
    "there is a [size] [shape] here whose body is [colour]; note [wings], [bill] and [crest].",
    "the head, breast and belly of the [size] [shape] are [colour], and it has [bill], [wings] and [crest].",
    "a [colour] bird with [bill], [wings] and [crest], which is a [size] [shape].",
    "[crest], [bill] and [wings] mark this [size] [colour] [shape].",
    "this [size] [shape] shows [crest], [wings] and a [colour] body along with [bill].",
    "a rather [size] [shape] covered in [colour] feathers, having [wings], [bill], and [crest].",
    "this [shape] has [bill], a [colour] body, [crest] and [wings], and is [size].",
    "the bird has a [colour] throat and belly, [wings], [crest] and [bill]: a [size] [shape].",
    "a [size] [shape], [colour] in color, that has [bill] as well as [wings] and [crest].",
    "[size] [shape], [colour] plumage, [wings], [bill], [crest].",
    "here we see a [size] and [colour] [shape] with [wings], [crest] and [bill].",
    "an adult [shape] with a [colour] crown, nape and breast, [wings], [bill] and [crest]; it looks [size].",
    "this particular [shape] is [size] and has [bill], [crest], [wings] and a [colour] breast.",
    "you can tell this [size] [shape] by its [colour] body, with [wings], [bill] and [crest].",
    "the [colour] [shape] has [crest] above [bill], and [wings] on a [size] body.",
    "a [shape] with [crest], whose [size] body is [colour], with [wings] and [bill].",
    "this [size] [shape] has [bill], and it is [colour] with [wings] and [crest].",
    "what a [size] [shape]! it is [colour] and has [wings], [bill] and [crest].",
    "the feathers of this [shape] are [colour], the bird is [size], and it has [bill], [crest] and [wings].",
    "this bird has [wings], [bill] and [crest]. it is a [size] [colour] [shape].",
    "a [size] [colour] bird, a [shape], with [crest], [bill] and also [wings].",
    "a bird that is [size] and [colour] with [bill], [wings], and [crest], probably a [shape].",
    "its body is [colour], it has [crest], [bill] and [wings], and it is a [size] [shape].",
    "shown is a [size] [shape] that has a [colour] coat, [wings], [bill] and [crest].",
];

fn sizes(size: Size) -> &'static [&'static str] {
    match size {
        Size::Small => &["small", "small", "tiny", "little"],
        Size::Medium => &["medium-sized", "medium sized", "mid-sized", "medium"],
        Size::Large => &["large", "large", "big", "huge"],
    }
}

fn shapes(shape: Shape) -> &'static [&'static str] {
    match shape {
        Shape::Songbird => &["songbird", "perching bird", "round songbird", "song bird"],
        Shape::Wader => &[
            "wader",
            "wading bird",
            "long-legged wader",
            "bird on stilts",
        ],
        Shape::Duck => &["duck", "swimming duck", "floating duck", "duck-like bird"],
        Shape::Owl => &["owl", "owl-like bird", "round-headed owl", "upright owl"],
    }
}

/// `[colour]` is that of the wings, or of the whole bird where they share it.
fn wings(wings: Wings) -> &'static [&'static str] {
    match wings {
        Wings::Same => &[
            "wings of the same color",
            "equally [colour] wings",
            "matching wings",
            "wings just as [colour]",
        ],
        _ => &[
            "[colour] wings",
            "[colour] wings",
            "wings that are [colour]",
            "[colour] wing feathers",
        ],
    }
}

fn bills(bill: Bill) -> &'static [&'static str] {
    match bill {
        Bill::Short => &[
            "a short bill",
            "a short beak",
            "a stubby bill",
            "a short, stubby beak",
        ],
        Bill::Long => &[
            "a long bill",
            "a long beak",
            "a long, straight bill",
            "a long pointed beak",
        ],
        Bill::Hooked => &[
            "a hooked bill",
            "a hooked beak",
            "a curved, hooked bill",
            "a down-curved beak",
        ],
    }
}

fn crests(crest: Crest) -> &'static [&'static str] {
    match crest {
        Crest::Absent => &[
            "no crest",
            "no crest on its head",
            "a smooth head",
            "a plain crown",
        ],
        Crest::Present => &[
            "a crest",
            "a crest on its head",
            "a feathery crest",
            "a pointed crest",
        ],
    }
}

/// Ten sentences about a bird, no two of them alike.
///
/// Lower case letters, spaces and `-,;.!:` only, at most 201 characters each, as many as the text encoder of Reed et
/// al. reads. Each sentence tells all six attributes.
pub fn captions(attributes: &Attributes, stream: &mut Stream) -> [String; 10] {
    let frames = stream.permutation(FRAMES.len());
    let colour = attributes.colour.name();
    let wing_colour = attributes.wings.colour(attributes.colour).name();
    std::array::from_fn(|place| {
        let mut pick = |phrases: &[&'static str]| phrases[stream.integers(1, phrases.len())[0]];
        let sentence = FRAMES[frames[place] as usize]
            .replace("[colour]", colour)
            .replace("[size]", pick(sizes(attributes.size)))
            .replace("[shape]", pick(shapes(attributes.shape)))
            .replace("[bill]", pick(bills(attributes.bill)))
            .replace("[crest]", pick(crests(attributes.crest)))
            .replace("[wings]", pick(wings(attributes.told_wings())))
            .replace("[colour]", wing_colour);
        with_articles(&sentence)
    })
}

/// "a orange owl" as it is said.
fn with_articles(sentence: &str) -> String {
    let mut words: Vec<&str> = sentence.split(' ').collect();
    for place in 1..words.len() {
        if words[place - 1] == "a" && words[place].starts_with(['a', 'e', 'i', 'o', 'u']) {
            words[place - 1] = "an";
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::Colour;
    use super::*;
    use std::collections::HashSet;

    /// What the text encoder knows.
    const ALPHABET: &str =
        "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{} ";

    fn birds() -> impl Iterator<Item = (Attributes, Stream)> {
        (0..400).map(|number| {
            let mut stream = Stream::new(5, "caption", number);
            (Attributes::draw(&mut stream), stream)
        })
    }

    fn holds(sentence: &str, phrase: &str) -> bool {
        let bounded = |end: Option<char>| end.is_none_or(|c| !c.is_ascii_alphabetic());
        sentence.match_indices(phrase).any(|(start, _)| {
            bounded(sentence[..start].chars().next_back())
                && bounded(sentence[start + phrase.len()..].chars().next())
        })
    }

    /// The only value of which one of the phrases is in the sentence.
    fn read<T: Copy>(sentence: &str, values: &[T], phrases: fn(T) -> &'static [&'static str]) -> T {
        let said: Vec<T> = values
            .iter()
            .copied()
            .filter(|&value| phrases(value).iter().any(|phrase| holds(sentence, phrase)))
            .collect();
        assert_eq!(said.len(), 1, "{sentence}");
        said[0]
    }

    /// What a reader understands who has nothing but the sentence.
    fn understood(sentence: &str) -> Attributes {
        let plain = sentence.replace("an ", "a ");
        let filled = |value: Wings, colour: Colour| {
            wings(value)
                .iter()
                .map(move |phrase| phrase.replace("[colour]", colour.name()))
        };
        let crest = read(&plain, Crest::ALL, crests);
        let bill = read(&plain, Bill::ALL, bills);
        let (mut rest, mut own) = (plain.clone(), Wings::Same);
        let phrases =
            Colour::ALL.iter().flat_map(|&colour| {
                let same = filled(Wings::Same, colour).map(|phrase| (phrase, Wings::Same));
                let others = Wings::ALL[1..]
                    .iter()
                    .filter(move |wings| wings.colour(Colour::Red) == colour);
                same.chain(others.flat_map(move |&value| {
                    filled(value, colour).map(move |phrase| (phrase, value))
                }))
            });
        let longest = phrases
            .filter(|(phrase, _)| holds(&plain, phrase))
            .max_by_key(|(phrase, _)| phrase.len());
        if let Some((phrase, value)) = longest {
            own = value;
            rest = plain.replacen(&phrase, "", 1);
        }
        let colours: Vec<Colour> = Colour::ALL
            .iter()
            .copied()
            .filter(|colour| holds(&rest, colour.name()))
            .collect();
        assert_eq!(colours.len(), 1, "{sentence}");
        Attributes {
            colour: colours[0],
            size: read(&plain, Size::ALL, sizes),
            shape: read(&plain, Shape::ALL, shapes),
            wings: own,
            bill,
            crest,
        }
    }

    #[test]
    fn a_sentence_alone_tells_every_attribute() {
        for (attributes, mut stream) in birds() {
            for sentence in captions(&attributes, &mut stream) {
                assert_eq!(understood(&sentence), attributes, "{sentence}");
            }
        }
    }

    #[test]
    fn sentences_are_short_plain_and_all_different() {
        for (attributes, mut stream) in birds() {
            let sentences = captions(&attributes, &mut stream);
            for sentence in &sentences {
                assert!(sentence.len() <= 201, "{sentence}");
                assert!(sentence.chars().all(|c| ALPHABET.contains(c)), "{sentence}");
                assert!(
                    !sentence.contains("  ") && !sentence.contains('['),
                    "{sentence}"
                );
            }
            assert_eq!(sentences.iter().collect::<HashSet<_>>().len(), 10);
        }
    }

    #[test]
    fn no_choice_of_words_is_too_long() {
        fn longest<T: Copy>(values: &[T], phrases: fn(T) -> &'static [&'static str]) -> &str {
            let all = values.iter().flat_map(|&value| phrases(value));
            all.max_by_key(|phrase| phrase.len()).unwrap()
        }
        for frame in FRAMES {
            let sentence = frame
                .replace("[size]", longest(Size::ALL, sizes))
                .replace("[shape]", longest(Shape::ALL, shapes))
                .replace("[bill]", longest(Bill::ALL, bills))
                .replace("[crest]", longest(Crest::ALL, crests))
                .replace("[wings]", longest(Wings::ALL, wings))
                .replace("[colour]", "orange");
            assert!(with_articles(&sentence).len() <= 201, "{sentence}");
        }
    }

    #[test]
    fn every_frame_is_used_and_holds_every_slot() {
        for frame in FRAMES {
            for slot in ["size", "shape", "colour", "wings", "bill", "crest"] {
                assert_eq!(frame.matches(&format!("[{slot}]")).count(), 1, "{frame}");
            }
        }
        // What a sentence says before its first slot and after its last tells most frames apart.
        let ends: HashSet<(String, String)> = birds()
            .flat_map(|(attributes, mut stream)| captions(&attributes, &mut stream))
            .map(|sentence| {
                let words: Vec<&str> = sentence.split(' ').collect();
                (words[..2].join(" "), words[words.len() - 2..].join(" "))
            })
            .collect();
        assert!(ends.len() > FRAMES.len());
    }

    #[test]
    fn articles_fit_their_words() {
        assert_eq!(
            with_articles("a orange bird, a upright owl and a red one"),
            "an orange bird, an upright owl and a red one"
        );
    }

    #[test]
    fn equal_streams_give_equal_sentences() {
        for (attributes, mut stream) in birds().take(20) {
            let mut again = stream.clone();
            assert_eq!(
                captions(&attributes, &mut stream),
                captions(&attributes, &mut again)
            );
        }
    }
}
