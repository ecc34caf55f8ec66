---@meta
-- Generated from the tables in the host; edits here are lost.

---What a reward script returns.
---@class ekphrasis.Reward
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field score fun(batch: RewardBatch, p: table): Tensor|number[], table<string, ekphrasis.Component>? One number for each sampled caption; a second result names the parts of the sum.

---What a policy script returns.
---@class ekphrasis.Policy
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field sample fun(logits: Tensor, state: ekphrasis.PolicyState, noise: Tensor, p: table): Tensor The next token i64[B] from logits f32[B, V] and uniform noise f32[B, 1].

---What a loss script returns.
---@class ekphrasis.Loss
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field role? string The role whose parameters the loss changes.
---@field loss? fun(g: LossGraph, p: table): Tensor|table<string, Tensor> The loss to minimise: a scalar, or a table with it as `loss` and more to log.
---@field updates? ekphrasis.Update[] Several losses, in the order in which they run.

---What a schedule script returns.
---@class ekphrasis.Schedule
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field run fun(host: ScheduleHost, p: table) Trains; finished calls are not repeated.

---What a study script returns.
---@class ekphrasis.Study
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field study fun(host: StudyHost, p: table) Runs trials; finished ones are not repeated.

---What a model script returns.
---@class ekphrasis.Model
---@field api integer Version of this interface: 1.
---@field doc string What the script does, in a sentence.
---@field params? table Parameters with their defaults; a config may override what stands here.
---@field build fun(m: ModelBuilder, p: table) Defines the graphs of the model.

---One update of a loss with several.
---@class ekphrasis.Update
---@field role string The role whose parameters it changes.
---@field name? string Name in the log; the role unless given.
---@field loss fun(g: LossGraph, p: table): Tensor|table<string, Tensor> The loss to minimise.
---@field every? integer Runs at every so many steps; 1 unless given.

---A part of a reward, logged by name.
---@class ekphrasis.Component
---@field value Tensor|number[] One number for each caption.
---@field weight number Its weight in the sum.

---Where in the caption a policy stands.
---@class ekphrasis.PolicyState
---@field step integer|Tensor Tokens drawn before this one.

---Trials to run: every arm with every seed.
---@class ekphrasis.Trials
---@field config string Path of the config, from the project's folder.
---@field set? table<string, any> Settings by dotted path, as `["phases.gan.steps"] = 100`.
---@field vary? table<string, table<string, table<string, any>>> Factors, each with arms by name, each with its settings: `{ reward = { bleu = { ... } } }`. Several factors make every combination, named `one+other`.
---@field name? string Name of the only arm when nothing varies; the config's name unless given.
---@field seeds? integer[] Seeds; the config's own unless given.

---One trial to run.
---@class ekphrasis.Trial
---@field config string Path of the config, from the project's folder.
---@field set? table<string, any> Settings by dotted path, as `["phases.gan.steps"] = 100`.
---@field name? string Name of its arm; the config's name unless given.
---@field seed? integer Its seed; the config's own unless given.

---What came out of a trial.
---@class ekphrasis.Result
---@field name string Name of the trial and of its folder.
---@field arm string Its arm.
---@field seed integer Its seed.
---@field summary table The run's summary.json, nested: `r.summary.captioner.cross_entropy.val.cider_d`.

---Results to compare.
---@class ekphrasis.Comparison
---@field [1] ekphrasis.Result[] The results.
---@field metrics string[] Dotted names of numbers in the summaries.
---@field baseline? string The arm that the others are compared with.

---A comparison of arms.
---@class ekphrasis.Table
---@field text string Aligned columns.
---@field markdown string The same in Markdown.
---@field metrics table<string, table<string, ekphrasis.Arm>> Numbers by metric and arm.

---One arm by one metric.
---@class ekphrasis.Arm
---@field n integer How many seeds.
---@field mean number The mean.
---@field sd? number Standard deviation over n - 1.
---@field interval? { low: number, high: number } 95% confidence interval of the mean.
---@field difference? { n: integer, mean: number, sd: number?, interval: table?, t: number?, p: number? } The paired difference to the baseline over the seeds in both; p by the paired t-test.
