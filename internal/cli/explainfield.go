package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/object"
	"github.com/carillon-sip/carillon/internal/view"
)

func explainFieldCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:     "explain-field TYPE[.FIELD]",
		Short:   "Tell what a field of an object means, and what it takes",
		Example: "  carillon explain-field pool\n  carillon explain-field pool.lb_algorithm\n  carillon explain-field pool.servers.port",
		Args:    args(1, 1, "TYPE[.FIELD]"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			kind, path, dotted := strings.Cut(typed, ".")
			var out []string
			if !dotted {
				for _, k := range object.Kinds() {
					out = append(out, k.Path)
				}
				return out, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
			}
			parent := ""
			if i := strings.LastIndexByte(path, '.'); i >= 0 {
				parent = path[:i]
			}
			info, _ := object.Describe(kind, parent)
			for _, m := range info.Members {
				out = append(out, strings.TrimSuffix(kind+"."+parent, ".")+"."+m)
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, path, _ := strings.Cut(args[0], ".")
			k, err := kindArg(kind)
			if err != nil {
				return err
			}
			info, ok := object.Describe(k.Name, path)
			if !ok {
				return noField(k, path)
			}
			explain(cmd, k, path, info)
			return nil
		},
	}
}

// noField says that there is no such field, and which one is near.
func noField(k object.KindInfo, path string) error {
	parent, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	info, ok := object.Describe(k.Name, parent)
	if !ok {
		return noField(k, parent)
	}
	if near := object.Nearest(name, info.Members); near != "" {
		return usage("%s has no field %q; did you mean %s?", strings.TrimSuffix(k.Path+"."+parent, "."), name, near)
	}
	return usage("%s has no field %q; carillon explain-field %s lists them", strings.TrimSuffix(k.Path+"."+parent, "."), name, strings.TrimSuffix(k.Path+"."+parent, "."))
}

func explain(cmd *cobra.Command, k object.KindInfo, path string, info object.FieldInfo) {
	say(cmd, "%s: %s", strings.TrimSuffix(k.Name+"."+path, "."), info.Type)
	doc := info.Doc
	if path == "" {
		doc = view.KindHelp(k.Name)
	}
	if doc != "" {
		say(cmd, "\n%s", screen(cmd).Wrap("  "+doc, 2))
	}
	rows := [][2]string{{"range", info.Range}, {"unit", info.Unit}, {"default", strings.Trim(string(info.Default), `"`)}, {"short form", info.Short}, {"refers to", info.Ref},
		{"with type", info.When}}
	if info.Required {
		rows = append(rows, [2]string{"required", "yes"})
	}
	if path != "" {
		rows = append(rows, [2]string{"effect", string(info.Effect)})
		whose := "Avi's"
		if info.Own {
			whose = "Carillon's own"
		}
		rows = append(rows, [2]string{"field", whose})
	}
	before := "\n"
	for _, r := range rows {
		if r[1] != "" {
			say(cmd, "%s  %-11s %s", before, r[0], r[1])
			before = ""
		}
	}
	for _, w := range info.Words {
		say(cmd, "  %-11s %s (%s)", "word", w.Short, w.Long)
	}
	if len(info.Members) == 0 {
		return
	}
	say(cmd, "\nFields:")
	var rowsOf [][]string
	for _, m := range info.Members {
		f, _ := object.Describe(k.Name, strings.TrimPrefix(path+"."+m, "."))
		if f.Effect == object.Acted {
			words := f.Doc
			if f.Unit != "" {
				words += " (in " + f.Unit + ")"
			}
			rowsOf = append(rowsOf, []string{"  " + m, f.Type, words})
		}
	}
	screen(cmd).Wrapped([]string{"  Field", "Type", "Meaning"}, rowsOf)
	if n := len(info.Members) - len(rowsOf); n > 0 {
		say(cmd, "\n%s", fmt.Sprintf("and %d that are kept, without effect, or refused.", n))
	}
}
