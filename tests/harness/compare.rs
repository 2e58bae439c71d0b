//! What was expected against what was printed.

/// Whether the printed lines are what the patterns expect.
pub fn matches(expected: &[String], printed: &[String]) -> bool {
    let Some((pattern, rest)) = expected.split_first() else {
        return printed.is_empty();
    };
    if pattern == "[...]" {
        return (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]));
    }
    match printed.split_first() {
        Some((line, others)) => line_matches(pattern, line) && matches(rest, others),
        None => false,
    }
}

/// Whether a line is what a pattern expects: `[..]` stands for any text.
fn line_matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split("[..]");
    let first = pieces.next().unwrap_or("");
    let Some(mut line) = line.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return line.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return line.ends_with(piece);
        }
        match line.find(piece) {
            Some(at) => line = &line[at + piece.len()..],
            None => return false,
        }
    }
    true
}

/// The two side by side: common lines, lines only expected (`-`), lines only
/// printed (`+`).
pub fn difference(expected: &[String], printed: &[String]) -> String {
    // common[i][j] is the length of the longest common part of what follows.
    let mut common = vec![vec![0u32; printed.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..printed.len()).rev() {
            common[i][j] = match line_matches(&expected[i], &printed[j]) {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut text = String::new();
    let mut put = |sign: char, line: &str| text.push_str(&format!("    {sign} {line}\n"));
    while i < expected.len() || j < printed.len() {
        let both = i < expected.len() && j < printed.len();
        if both && line_matches(&expected[i], &printed[j]) {
            put(' ', &printed[j]);
            (i, j) = (i + 1, j + 1);
        } else if j == printed.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1])
        {
            put('-', &expected[i]);
            i += 1;
        } else {
            put('+', &printed[j]);
            j += 1;
        }
    }
    text
}
