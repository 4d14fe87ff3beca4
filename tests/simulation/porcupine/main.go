// Checks histories of the stock product with Porcupine, which shares nothing with cairn's own checker but the history.
//
//	porcupine FILE...
//
// Each file holds one history as JSON Lines (testkit/include/cairn/testkit/history.hpp has the form), with data and states as
// tests/testkit/product_histories.hpp writes them. One line for each file says whether it is linearizable. Exit codes: 0 all
// are, 1 some are not, 2 a file cannot be read.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/anishathalye/porcupine"
)

type input struct {
	Look      bool    `json:"look"`
	Command   string  `json:"command"`
	Data      data    `json:"data"`
	CommandID string  `json:"command_id"`
	Expected  *uint64 `json:"expected"`
	Retried   bool    `json:"retried"`
}

// The fields of all three commands.
type data struct {
	Count           int64  `json:"count"`
	AllowBackOrders bool   `json:"allow_back_orders"`
	Reason          string `json:"reason"`
}

type accepted struct {
	Version  uint64 `json:"version"`
	Events   uint64 `json:"events"`
	Repeated bool   `json:"repeated"`
}

type rejected struct {
	Reason  string `json:"reason"`
	Version uint64 `json:"version"`
}

type conflict struct {
	Stands uint64 `json:"stands"`
}

type seen struct {
	Version uint64  `json:"version"`
	State   product `json:"state"`
}

// Exactly one is set.
type output struct {
	Accepted  *accepted `json:"accepted"`
	Rejected  *rejected `json:"rejected"`
	Conflict  *conflict `json:"conflict"`
	NotStored *string   `json:"not_stored"`
	Seen      *seen     `json:"seen"`
}

type operation struct {
	Client    int     `json:"client"`
	Aggregate string  `json:"aggregate"`
	Call      int64   `json:"call"`
	Return    *int64  `json:"return"`
	Input     input   `json:"input"`
	Output    *output `json:"output"`
}

type product struct {
	Enrolled        bool  `json:"enrolled"`
	AllowBackOrders bool  `json:"allow_back_orders"`
	Count           int64 `json:"count"`
}

// Values are never changed: the map is copied when an answer is added.
type state struct {
	product product
	version uint64
	answers map[string]accepted // first answers by command id
}

func (p product) removalRefused(count int64) string {
	switch {
	case p.AllowBackOrders && p.Count < math.MinInt64+count:
		return "count_too_small"
	case !p.AllowBackOrders && count > p.Count:
		return "insufficient_stock"
	}
	return ""
}

// The product after the command, or why it is refused.
func (p product) decide(command string, d data) (product, string) {
	if command == "Enrol" {
		switch {
		case p.Enrolled:
			return p, "already_enrolled"
		case d.Count < 0:
			return p, "count_negative"
		}
		return product{true, d.AllowBackOrders, d.Count}, ""
	}
	switch {
	case !p.Enrolled:
		return p, "not_enrolled"
	case d.Count <= 0:
		return p, "count_not_positive"
	}
	next := p
	switch command {
	case "AddStock":
		if p.Count > math.MaxInt64-d.Count {
			return p, "count_too_large"
		}
		next.Count += d.Count
	case "RemoveStock":
		if reason := p.removalRefused(d.Count); reason != "" {
			return p, reason
		}
		next.Count -= d.Count
	default:
		fmt.Fprintf(os.Stderr, "porcupine: unknown command %q\n", command)
		os.Exit(2)
	}
	return next, ""
}

func is[T comparable](told *T, truth T) bool { return told != nil && *told == truth }

// Whether the output can come of the input there, and the state after. A nil output is unknown.
func (s state) step(in input, out *output) (bool, state) {
	if out != nil && out.NotStored != nil {
		return true, s
	}
	if in.Look {
		return out == nil || is(out.Seen, seen{s.version, s.product}), s
	}
	if first, asked := s.answers[in.CommandID]; asked && in.CommandID != "" {
		first.Repeated = true
		return out == nil || is(out.Accepted, first), s
	}
	if in.Expected != nil && *in.Expected != s.version {
		return out == nil || is(out.Conflict, conflict{s.version}), s
	}
	next, reason := s.product.decide(in.Command, in.Data)
	if reason != "" {
		return out == nil || is(out.Rejected, rejected{reason, s.version}), s
	}
	answer := accepted{Version: s.version + 1, Events: 1}
	told := answer
	if out != nil {
		// Where an earlier attempt did it, the last one was told so.
		told.Repeated = in.Retried && out.Accepted != nil && out.Accepted.Repeated
		if !is(out.Accepted, told) {
			return false, s
		}
	}
	answers := s.answers
	if in.CommandID != "" {
		answers = maps.Clone(answers)
		answers[in.CommandID] = answer
	}
	return true, state{next, answer.Version, answers}
}

func equal(left, right state) bool {
	return left.product == right.product && left.version == right.version && maps.Equal(left.answers, right.answers)
}

func hash(s state) uint64 {
	sum := fnv.New64a()
	fmt.Fprint(sum, s.product, s.version)
	return sum.Sum64()
}

func byAggregate(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[string][]porcupine.Operation{}
	for _, one := range history {
		aggregate := one.Metadata.(string)
		parts[aggregate] = append(parts[aggregate], one)
	}
	var all [][]porcupine.Operation
	for _, aggregate := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[aggregate])
	}
	return all
}

var model = porcupine.Model{
	Partition: byAggregate,
	Init:      func() interface{} { return state{answers: map[string]accepted{}} },
	Step: func(at, in, out interface{}) (bool, interface{}) {
		ok, next := at.(state).step(in.(input), out.(*output))
		return ok, next
	},
	Equal: func(left, right interface{}) bool { return equal(left.(state), right.(state)) },
	Hash:  func(at interface{}) uint64 { return hash(at.(state)) },
}

func read(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var history []porcupine.Operation
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var one operation
		strict := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&one); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(history)+1, err)
		}
		// Porcupine places every operation. An unknown one that never happened is placed at the end of time, after all others.
		returned := int64(math.MaxInt64)
		if one.Return != nil {
			returned = *one.Return
		}
		history = append(history, porcupine.Operation{ClientId: one.Client, Input: one.Input, Call: one.Call, Output: one.Output,
			Return: returned, Metadata: one.Aggregate})
	}
	return history, lines.Err()
}

func main() {
	exit := 0
	for _, path := range os.Args[1:] {
		history, err := read(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, "porcupine:", err)
			os.Exit(2)
		}
		verdict := "linearizable"
		if !porcupine.CheckOperations(model, history) {
			verdict, exit = "not linearizable", 1
		}
		fmt.Printf("%s: %s, %d operations\n", path, verdict, len(history))
	}
	os.Exit(exit)
}
