---@type ekphrasis.Reward
return {
  api = 1,
  doc = "METEOR 1.5 (Denkowski and Lavie 2014) against the picture's captions, stems, synonyms and paraphrases counted.",
  score = function(batch)
    return batch:meteor()
  end,
}
