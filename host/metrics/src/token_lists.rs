//! Lists of token ids, laid end to end.

/// Token ids of many captions: two allocations rather than one for each.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenLists {
    tokens: Vec<u32>,
    /// Where each list ends in `tokens`.
    ends: Vec<usize>,
}

impl TokenLists {
    /// Appends what `write` adds at the end of all tokens as a list.
    pub(crate) fn push_with<T>(&mut self, write: impl FnOnce(&mut Vec<u32>) -> T) -> T {
        let result = write(&mut self.tokens);
        self.ends.push(self.tokens.len());
        result
    }

    pub(crate) fn get(&self, list: usize) -> &[u32] {
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.tokens[start..self.ends[list]]
    }

    /// Number of lists.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.len()).map(|list| self.get(list))
    }
}

impl<T: AsRef<[u32]>> FromIterator<T> for TokenLists {
    fn from_iter<I: IntoIterator<Item = T>>(lists: I) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.push_with(|tokens| tokens.extend(list.as_ref()));
        }
        all
    }
}
