#!/usr/bin/env python3
"""Deliberate mistakes in cairn, to show that the tests find them: one wrong line each, where the right one is easy
to miss. The simulation finds most of them; a mutation that it cannot see names the test program that does.

    mutations.py list                       name|source|test of each mutation, for the build
    mutations.py write NAME INTO            the source with the mistake in it
    mutations.py hunt --bin FOLDER [--first SEED] [--seeds N]
                                            runs each mutant until a test fails, for N seeds at most, and prints a
                                            table; the right code must stand half of these seeds

A mutation that no longer fits its source is an error: then the source has changed, and the mutation must follow.
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGGREGATE = "actors/aggregate_actor.cpp"
DIRECTORY = "actors/directory_actor.cpp"
JOURNAL = "actors/journal_actor.cpp"
RECOVERY = "actors/recovery.cpp"
OPERATION = "actors/operation.cpp"
PENDING = "actors/pending_answers.cpp"
READERS = "actors/store_actors.cpp"
STORE = "persistence/store/embedded_store.cpp"
WRITER = "persistence/log/log_writer.cpp"
SCAN = "persistence/log/log_scan.cpp"
FOLDER = "persistence/log/store_folder.cpp"
INDEX = "persistence/derived/index.cpp"
HEAD = "actors/durable_head.cpp"
SUBSCRIPTION = "runtime/subscription.cpp"
SIMULATION = "simulation_hunt"


@dataclass
class Mutation:
    name: str
    source: str
    changes: list  # of (the right text, which the source has once, and the wrong one)
    test: str = SIMULATION  # the target whose test program the mutant is linked into


MUTATIONS = [
    Mutation("acknowledged_before_durable", JOURNAL, [(
        "    senders_.back() = current_sender();",
        "    senders_.back() = current_sender();\n"
        "    const auto& early = gathered_.back();\n"
        "    send(caf::actor_cast<caf::actor>(current_sender()),\n"
        "         append_result{early.incarnation, 0, early.expected + early.events, {}, {}, {}});")]),
    Mutation("head_published_before_the_append", JOURNAL, [
        ("    publish_head();\n    std::int64_t bytes", "    std::int64_t bytes"),
        ("    outcomes_.assign(batch_.size(), {});\n",
         "    outcomes_.assign(batch_.size(), {});\n"
         "    shared_.head.publish(position{shared_.store->last().value + batch_.size()});\n")], "subscription_tests"),
    Mutation("head_published_after_the_answers", JOURNAL, [
        ("    publish_head();\n    std::int64_t bytes", "    std::int64_t bytes"),
        ("    shared_.head.resume_waiting();\n", "    publish_head();\n    shared_.head.resume_waiting();\n")],
        "subscription_tests"),
    Mutation("one_record_wakes_no_subscription", HEAD, [("one.beyond >= last", "one.beyond + 1 >= last")]),
    Mutation("record_beside_the_wait_is_not_seen", HEAD, [
        ("if (beyond < last() || waiting_", "if (waiting_")], "subscription_tests"),
    Mutation("cancelled_between_two_calls_goes_on", SUBSCRIPTION, [
        ("if (cancels && *cancels != cancels_)", "if (cancels && false)")], "subscription_tests"),
    Mutation("filtered_record_without_room_is_lost", SUBSCRIPTION, [(
        "        if (cursor_->passes(record)) {\n",
        "        batch_.through = record.position;\n        if (cursor_->passes(record)) {\n")]),
    Mutation("record_without_room_in_a_batch_is_lost", SUBSCRIPTION, [(
        "    batch_.through = records[taken - 1].position;", "    batch_.through = records.back().position;")]),
    Mutation("batch_comes_again", SUBSCRIPTION, [(
        "    cursor_->ready = std::move(batch_);\n",
        "    cursor_->ready = batch_;\n"
        "    if (batch_.size() % 7 == 3) cursor_->ready.through = cursor_->through;\n")]),
    Mutation("part_of_the_log_from_its_beginning", SUBSCRIPTION, [(
        "std::span(part->records()).subspan(begin);", "std::span(part->records()).subspan(begin / 2);")]),
    Mutation("no_rollback_after_failed_append", AGGREGATE, [
        ("  taken_snapshots_.clear();\n  state_.reset();", "  taken_snapshots_.clear();"),
        ("  state_ = std::move(found.state);", "  if (!state_) state_ = std::move(found.state);")]),
    Mutation("snapshot_version_off_by_one", AGGREGATE, [(
        "    auto bytes = encode_snapshot(version_,", "    auto bytes = encode_snapshot(version_ + 1,"),
        ("taken_snapshots_.push_back({version_,", "taken_snapshots_.push_back({version_ + 1,")]),
    Mutation("command_ids_lost_in_recovery", RECOVERY, [("    aggregate.commands.replay(record);\n", "")]),
    Mutation("command_ids_lost_in_snapshots", RECOVERY, [(
        "into.commands.remember(answer.command_id,", "into.commands.remember({},")]),
    Mutation("message_lost_in_passivation", DIRECTORY, [(
        "    if (known.is == status::live) {\n      touch(known);",
        "    if (known.is != status::waiting) {\n      if (known.is == status::live) touch(known);")]),
    Mutation("gap_in_positions", STORE, [(
        "        from = from + 1;\n", "        from = from + (where.value % 50 == 49 ? 2 : 1);\n")]),
    Mutation("answer_before_what_it_saw_is_durable", AGGREGATE, [(
        "  if (!crew_.journal) return operation::complete(",
        "  if (!crew_.journal || asked->held.events == 0) return operation::complete(")]),
    Mutation("successor_does_not_wait_for_the_killed", DIRECTORY, [(
        "    if (!settled && crew_.journal) return", "    if (!settled && crew_.journal && false) return")]),
    Mutation("recovery_does_not_wait_for_appends", AGGREGATE, [(
        "  if (!answers_->an_append_is_on_its_way()) begin_recovery();\n}", "  begin_recovery();\n}")], "actor_tests"),
    Mutation("late_acknowledgement_taken_for_a_new_one", AGGREGATE, [(
        "  if (result.incarnation != incarnation_ || phase_ != phase::running) {",
        "  if (phase_ != phase::running) return answers_->settle(result.appends, {});\n  if (false) {")]),
    Mutation("expected_version_of_what_is_durable", AGGREGATE, [(
        "  if (!options.expected.admits(version_)) {", "  if (!options.expected.admits(answers_->durable())) {")]),
    Mutation("deadline_called_certain", OPERATION, [(
        "  const bool certain = changes_nothing() || (before == stage::waiting && options().command_id.empty());",
        "  const bool certain = true;")]),
    Mutation("snapshot_before_durable", AGGREGATE, [
        ("!taken_snapshots_.empty() && taken_snapshots_.front().at <= durable)", "!taken_snapshots_.empty())"),
        ("!waiting_.empty()) decide(waiting_.pop(), shared_.now());",
         "!waiting_.empty()) decide(waiting_.pop(), shared_.now());\n  send_durable_snapshots();")]),
    Mutation("command_ids_of_lost_events_kept", AGGREGATE, [(
        "  commands_ = std::move(found.commands);\n", "  if (incarnation_ == 1) commands_ = std::move(found.commands);\n")]),
    Mutation("appends_of_the_killed_not_settled", JOURNAL, [(
        "        [this](const aggregate_ended& ended) {\n          commit();\n",
        "        [](const aggregate_ended& ended) {\n")]),
    Mutation("drain_waits_for_nobody_for_ever", DIRECTORY, [(
        "      if (known.is == status::live) end(known, message.snapshot);\n    }\n    pass_gate_if_empty();",
        "      if (known.is == status::live) end(known, message.snapshot);\n    }")]),
    Mutation("deadline_not_looked_at", AGGREGATE, [(
        "    if (*options.deadline < now) return asked->complete(", "    if (false) return asked->complete(")], "actor_tests"),
    Mutation("decision_failed_without_cause", AGGREGATE, [(
        "    asked->decide(*state_, events, answer);",
        "    if (version_.value % 50 == 49) throw 1;\n    asked->decide(*state_, events, answer);")]),
    Mutation("repeat_told_the_present_version", AGGREGATE, [(
        "  answer.version = first.last;\n", "  answer.version = version_;\n")]),
    # The ways that things go on threads
    Mutation("journal_not_woken", AGGREGATE, [(
        "  if (crew_.appends->put(std::move(request))) wake_journal();",
        "  if (crew_.appends->put(std::move(request)) && version_.value % 50 != 49) wake_journal();")]),
    Mutation("reader_does_not_look_again", READERS, [("    next.reset();\n    send(this, read_next{});", "    next.reset();")]),
    Mutation("answer_one_version_too_early", PENDING, [(
        "  while (!waiting_.empty() && waiting_.front().after <= durable())",
        "  while (!waiting_.empty() && waiting_.front().after <= durable() + 1)")]),
    Mutation("result_not_wanted_that_is_needed", PENDING, [("  results_wanted_ = true;\n  return false;", "  return false;")]),
    Mutation("rest_not_handed_over", PENDING, [(
        "  return !waiting_.empty() && waiting_.front().after <= durable();", "  return false;")], "unit_tests"),
    Mutation("operation_completed_twice", OPERATION, [("  if (!first) return;\n", "  (void)first;\n")], "unit_tests"),
    Mutation("place_not_given_back", OPERATION, [(
        "  asked->leave();  // before it is delivered", "  if (first) asked->leave();  // before it is delivered")],
             "actor_tests"),
    Mutation("place_of_the_abandoned_not_given_back", OPERATION, [("  if (!asked->completed()) return;", "  return;")],
             "unit_tests"),
    Mutation("recorded_at_follows_the_clock_back", AGGREGATE, [(
        "  const auto recorded_at = std::max(now, recorded_at_);", "  const auto recorded_at = now;")]),
    # The log
    Mutation("commit_not_synced", WRITER, [("  if (options_.synced) sync_file(*opened_, path_);\n", "")]),
    Mutation("failed_sync_repeated", WRITER, [(
        "  if (options_.synced) sync_file(*opened_, path_);\n",
        "  for (int attempt = 0; options_.synced && attempt < 2; ++attempt) {\n"
        "    try {\n"
        "      sync_file(*opened_, path_);\n"
        "      break;\n"
        "    } catch (const error&) {\n"
        "      if (attempt == 1) throw;\n"
        "    }\n"
        "  }\n")]),
    Mutation("failed_sync_forgotten", WRITER, [("    background_failure_ = failure.detail();\n    throw;", "    throw;")]),
    Mutation("end_of_log_not_written_again", STORE, [(
        "    detail::make_end_durable(folder_, *segments_);\n", "")]),
    Mutation("end_mark_not_written_again", WRITER, [(
        "  if (last > 0 && marked < segment.first) {", "  if (false) {\n    (void)last;")]),
    Mutation("name_of_segment_not_synced", WRITER, [("  sync_names(log);\n  mark_finished(", "  mark_finished(")]),
    Mutation("found_names_not_synced", FOLDER, [("  sync_names(*log_);\n  sync_names(*root_);\n}", "}")]),
    Mutation("end_mark_before_the_next_segment", WRITER, [
        ("  auto next = take_next_segment();\n",
         "  mark_finished(*opened_, path_, segment_.base, place_);\n  auto next = take_next_segment();\n"),
        ("  sync_names(log);\n  mark_finished(*opened_, path_, segment_.base, place_);\n", "  sync_names(log);\n")]),
    Mutation("torn_tail_is_damage", SCAN, [(
        "    if (!interrupted) fail_at_damage(found, commit, problem);", "    fail_at_damage(found, commit, problem);")]),
    Mutation("torn_commit_not_cut_off", WRITER, [("  if (end.torn) drop_torn();\n", "")]),
    Mutation("chain_not_continued", WRITER, [("  header.previous = head_;", "  header.previous = segment_.previous;")]),
    Mutation("segment_begun_before_the_last_is_synced", WRITER, [(
        "  if (!options_.synced) sync_committed();\n  durable_ =", "  durable_ =")]),
    Mutation("index_ahead_of_the_log", STORE, [("if (writer) writer->sync_committed();", "(void)writer;")]),
    Mutation("mark_of_another_commit", STORE, [(
        "{through, address, first, head_, builder_.head()}", "{through, address, first, builder_.head(), builder_.head()}")]),
    Mutation("mark_ahead_of_its_generation", INDEX, [(
        "  if (previous_->places) {  // the last attempt failed\n",
        "  if (previous_->places) {  // the last attempt failed\n    previous_->mark = current_->mark;\n")]),
    Mutation("append_in_doubt_is_read", STORE, [("in_doubt_.emplace(stream);", "(void)stream;")]),
    Mutation("damage_is_a_torn_tail", SCAN, [(
        "was_durable = next <= follows.durable || (request_.high_water && next <= request_.high_water->through);",
        "was_durable = false;")], "corruption_tests"),
    Mutation("walk_does_not_check_its_end", SCAN, [("    require_high_water();\n", "")], "corruption_tests"),
    Mutation("missing_segment_not_noticed", SCAN, [(
        "    if (segment_ + 1 == files_.count() && !files_.refresh()) {\n",
        "    if (segment_ + 1 == files_.count() && !files_.refresh()) return finding::end;\n    if (false) {\n")],
             "corruption_tests"),
    Mutation("lock_not_taken", FOLDER, [(
        "  auto held = lock(*root);\n  store_folder opened(",
        "  std::unique_ptr<file_lock> held;\n  store_folder opened(")], "persistence_tests"),
]


def find(name):
    for mutation in MUTATIONS:
        if mutation.name == name:
            return mutation
    sys.exit(f"mutations.py: there is no mutation '{name}'")


def write(mutation, into):
    text = (ROOT / mutation.source).read_text(encoding="utf-8")
    for right, wrong in mutation.changes:
        if text.count(right) != 1:
            sys.exit(f"mutations.py: {mutation.name} no longer fits {mutation.source}; "
                     f"this stands there {text.count(right)} times:\n{right}")
        text = text.replace(right, wrong)
    pathlib.Path(into).write_text(text, encoding="utf-8")


def run_test(name, options):
    """The first test case that fails; None if none does."""
    run = run_program([str(options.bin / name), "--no-colors"])
    if run.returncode == 0:
        return None
    found = next((line.removeprefix("TEST CASE:").strip() for line in run.stdout.splitlines()
                  if line.startswith("TEST CASE:")), f"the program ended with {run.returncode}")
    return "-", found[:110]


def run_program(command):
    env = {name: value for name, value in os.environ.items() if not name.startswith("CAIRN_SIMULATION_")}
    env.setdefault("CAIRN_TEST_SWITCHES", "5000")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=1200, env=env)
    except subprocess.TimeoutExpired:
        sys.exit(f"mutations.py: no end after twenty minutes: {' '.join(command)}")


def hunt_one(bin_folder, name, first, seeds):
    """How many seeds it took, and what was found; None if it was not caught."""
    command = [str(bin_folder / name), "--first", str(first), "--seeds", str(seeds)]
    run = run_program(command)
    if run.returncode not in (0, 1):
        sys.exit(f"mutations.py: {' '.join(command)} ended with {run.returncode}:\n{run.stderr}")
    seeds, _, what = run.stdout.strip().partition(" ")
    return (seeds, what) if run.returncode == 0 else None


def hunt_mutant(mutation, options):
    name = f"mutant_{mutation.name}"
    if mutation.test != SIMULATION:
        return run_test(name, options)
    return hunt_one(options.bin, name, options.first, options.seeds)


def hunt(options):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        control = pool.submit(hunt_one, options.bin, "unmutated", options.first, max(1, options.seeds // 2))
        caught = list(pool.map(lambda mutation: hunt_mutant(mutation, options), MUTATIONS))
    print(f"{'mutation':<42} {'caught':<7} {'seeds':>6}  by")
    for mutation, found in zip(MUTATIONS, caught):
        nothing = f"nothing in {options.seeds} seeds from {options.first} on"
        seeds, what = found or ("-", nothing if mutation.test == SIMULATION else f"nothing in {mutation.test}")
        if mutation.test != SIMULATION:
            what = f"{mutation.test}: {what}"
        print(f"{mutation.name:<42} {'yes' if found else 'NO':<7} {seeds:>6}  {what}")
    missed = caught.count(None)
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} mutations caught")
    if control.result():
        print(f"but without a mutation the simulation finds something, too: {control.result()}")
    return 1 if missed or control.result() else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    writing = verbs.add_parser("write")
    writing.add_argument("name")
    writing.add_argument("into")
    hunting = verbs.add_parser("hunt")
    hunting.add_argument("--bin", type=pathlib.Path, required=True)
    hunting.add_argument("--first", type=int, default=int(os.environ.get("CAIRN_TEST_FIRST") or 1))
    hunting.add_argument("--seeds", type=int, default=int(os.environ.get("CAIRN_TEST_SEEDS") or 6000))
    options = parser.parse_args()
    if options.verb == "list":
        print(";".join(f"{mutation.name}|{mutation.source}|{mutation.test}" for mutation in MUTATIONS))
    elif options.verb == "write":
        write(find(options.name), options.into)
    else:
        table = None
        if os.environ.get("CAIRN_TEST_FIGURES"):
            table = open(os.environ["CAIRN_TEST_FIGURES"], "a", encoding="utf-8")
            sys.stdout = table
        sys.exit(hunt(options))


if __name__ == "__main__":
    main()
