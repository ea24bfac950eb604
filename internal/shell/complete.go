package shell

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

// Candidate is a word that may stand somewhere, and a line of help.
type Candidate struct{ Word, Help string }

// completeTime bounds a question to the API while somebody types.
const completeTime = 2 * time.Second

// Complete lists what may stand at the end of a line: the last word is what was typed of it.
func (s *Shell) Complete(ctx context.Context, text string) []Candidate {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	l, err := parseLine(text)
	if err != nil {
		return nil
	}
	words := l.words
	if n := len(l.filters); n > 0 {
		words = l.filters[n-1]
	}
	typed := ""
	if len(words) > 0 && !strings.HasSuffix(text, " ") && !strings.HasSuffix(text, "\t") {
		typed, words = words[len(words)-1], words[:len(words)-1]
	}
	var all []Candidate
	switch {
	case strings.Contains(text, "|") && len(words) == 0:
		all = filterWords
	case strings.Contains(text, "|"):
		return nil
	default:
		all = s.candidates(ctx, words)
	}
	var out []Candidate
	for _, c := range all {
		if strings.HasPrefix(strings.ToLower(c.Word), strings.ToLower(typed)) {
			out = append(out, c)
		}
	}
	return out
}

// candidates are what may stand behind words.
func (s *Shell) candidates(ctx context.Context, words []string) []Candidate {
	if len(s.frames) > 0 {
		return s.modeCandidates(ctx, s.frames[len(s.frames)-1], words)
	}
	return s.topCandidates(ctx, words)
}

func (s *Shell) topCandidates(ctx context.Context, words []string) []Candidate {
	if len(words) == 0 {
		var out []Candidate
		for _, c := range topCommands() {
			out = append(out, Candidate{c.name, c.help})
		}
		return out
	}
	c := find(topCommands(), words[0])
	if c == nil || c.complete == nil {
		return nil
	}
	return c.complete(s, ctx, words[1:])
}

func kinds() []Candidate {
	var out []Candidate
	for _, k := range object.Kinds() {
		out = append(out, Candidate{k.Path, view.KindHelp(k.Name)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Word < out[j].Word })
	return out
}

// names are those of the objects of a kind.
func (s *Shell) names(ctx context.Context, kind string) []Candidate {
	k, ok := object.FindKind(kind)
	if !ok {
		return nil
	}
	names, err := s.c.Names(ctx, k)
	if err != nil {
		return nil // somebody types; the command will tell
	}
	sort.Strings(names)
	var out []Candidate
	for _, n := range names {
		out = append(out, Candidate{quoteWord(n), k.Title})
	}
	return out
}

func (s *Shell) completeObject(ctx context.Context, words []string) []Candidate {
	switch len(words) {
	case 0:
		return kinds()
	case 1:
		return s.names(ctx, words[0])
	}
	return nil
}

func (s *Shell) completeShow(ctx context.Context, words []string) []Candidate {
	switch {
	case len(words) == 0:
		return append(kinds(), pages...)
	case words[0] == "running_config":
		if words[len(words)-1] == "--obj_type" {
			return kinds()
		}
		return []Candidate{{"--obj_type", "only this type"}, {"--search", "only objects with this text"}}
	case words[0] == "audit" && len(words) == 1:
		return []Candidate{{"detail", "with the values"}}
	case len(words) == 1:
		return s.names(ctx, words[0])
	}
	k, ok := object.FindKind(words[0])
	if !ok {
		return nil
	}
	var out []Candidate
	before := strings.Join(words[2:], " ")
	for _, w := range whats[k.Name] {
		rest, found := strings.CutPrefix(w.words, before)
		if rest = strings.TrimPrefix(rest, " "); found && rest != "" {
			out = append(out, Candidate{rest, w.help})
		}
	}
	return out
}

func (s *Shell) completeSwitch(ctx context.Context, words []string) []Candidate {
	switch len(words) {
	case 0:
		return []Candidate{{"tenant", "work in another tenant"}}
	case 1:
		return s.names(ctx, "Tenant")
	}
	return nil
}

// modeCandidates are the fields of an object, the commands beside them, and the values of a field.
func (s *Shell) modeCandidates(ctx context.Context, f *frame, words []string) []Candidate {
	if len(words) == 0 {
		return append(f.fields(""), modeCommands...)
	}
	switch words[0] {
	case "do":
		if len(words) == 1 {
			return []Candidate{{"show", "show objects, and how they are doing"}, {"watch", "repeat a show until Ctrl-C"}, {"terminal", "how output looks"}, {"history", "the lines typed so far"}}
		}
		return s.topCandidates(ctx, words[1:])
	case "no":
		if len(words) == 1 {
			return f.fields("no")
		}
		return nil
	}
	info, err := f.field(words[0])
	if err != nil {
		return nil
	}
	if nested(info) {
		return s.nestedCandidates(ctx, f, info, words[1:])
	}
	if len(words) == 1 {
		return s.values(ctx, info)
	}
	return nil
}

// nestedCandidates complete pairs of fields and values behind a part: servers ip A port P.
func (s *Shell) nestedCandidates(ctx context.Context, f *frame, info object.FieldInfo, words []string) []Candidate {
	sub := &frame{kind: f.kind, info: info, path: strings.TrimPrefix(f.path+"."+info.Name, ".")}
	for len(words) > 0 {
		inner, err := sub.field(words[0])
		if err != nil {
			return nil
		}
		if len(words) == 1 && inner.Type != "true or false" {
			return s.values(ctx, inner)
		}
		words = words[min(len(words), 2):]
	}
	out := sub.fields("")
	if info.List && f.node.Get(info.Name) != nil {
		out = append(out, Candidate{"index", fmt.Sprintf("N: item N again; there are %d", len(f.node.Get(info.Name).Items))})
	}
	return out
}

// fields are those of a frame, what has an effect first.
func (f *frame) fields(before string) []Candidate {
	var acted, kept []Candidate
	for _, name := range f.info.Members {
		info, err := f.field(name)
		if err != nil || info.ReadOnly || info.Effect == object.Refused || info.Effect == object.Dropped || name == "uuid" || before == "no" && f.node.Get(name) == nil && info.Type != "true or false" {
			continue
		}
		c := Candidate{name, brief(info)}
		if info.Effect == object.Idle {
			kept = append(kept, c)
		} else {
			acted = append(acted, c)
		}
	}
	return append(acted, kept...)
}

// brief is a field in one line.
func brief(info object.FieldInfo) string {
	text := info.Doc
	if text == "" && info.Effect == object.Idle {
		text = "kept, without effect"
	}
	var more []string
	if info.Range != "" {
		more = append(more, info.Range)
	}
	if info.Unit != "" {
		more = append(more, "in "+info.Unit)
	}
	if info.Default != nil {
		more = append(more, "default "+strings.ToLower(strings.Trim(string(info.Default), `"`)))
	}
	if info.Required {
		more = append(more, "required")
	}
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return strings.TrimSpace(text)
}

// values are what a field takes.
func (s *Shell) values(ctx context.Context, info object.FieldInfo) []Candidate {
	var out []Candidate
	switch {
	case len(info.Words) > 0:
		for _, w := range info.Words {
			help := w.Short
			if string(info.Default) == `"`+w.Long+`"` {
				help += ", the default"
			}
			out = append(out, Candidate{strings.ToLower(w.Long), help})
		}
	case info.Ref != "":
		return s.names(ctx, info.Ref)
	case info.Type == "true or false":
		return []Candidate{{"true", ""}, {"false", ""}}
	}
	return out
}

// help prints what may stand at the end of a line.
func (s *Shell) help(ctx context.Context, text string) {
	list := s.Complete(ctx, text)
	if len(list) == 0 {
		s.say("%s", s.expected(text))
		return
	}
	width := 0
	for _, c := range list {
		width = max(width, len(c.Word))
	}
	const least = 24
	room := s.out.Width()
	for _, c := range list {
		before, indent := fmt.Sprintf("  %-*s  ", width, c.Word), width+4
		if room > 0 && room-indent < least { // the help stands below the word
			before, indent = "  "+c.Word+"\n      ", 6
		}
		s.say("%s", strings.TrimRight(before+s.out.Indented(c.Help, indent), " \n"))
	}
}

// expected says what a value is, where no words can be listed.
func (s *Shell) expected(text string) string {
	l, err := parseLine(text)
	if err != nil || len(s.frames) == 0 || len(l.words) == 0 {
		return "  Enter"
	}
	info, err := s.frames[len(s.frames)-1].field(l.words[0])
	if err != nil {
		return "  " + err.Error()
	}
	return "  " + wanted(info) + ": " + brief(info)
}
