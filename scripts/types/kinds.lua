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
