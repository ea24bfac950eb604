package object

import "slices"

// Role is a set of rights. Those there always are: admin, operator (switches things on and off, drains) and viewer.
type Role struct {
	Name        string       `json:"name" required:"" doc:"unique among roles"`
	UUID        string       `json:"uuid" doc:"references may name the object by it"`
	Description string       `json:"description" doc:"free text"`
	Privileges  []Permission `json:"privileges" items:"0..500" key:"resource" doc:"the rights"`
	Kept        Kept         `json:"-"`
}

// Permission is a right to one kind of thing.
type Permission struct {
	Resource string `json:"resource" required:"" doc:"the kind of thing, as PERMISSION_POOL"`
	Type     string `json:"type" required:"" default:"NO_ACCESS" words:"- NO_ACCESS READ_ACCESS WRITE_ACCESS" doc:"what may be done"`
	Kept     Kept   `json:"-"`
}

var roleKept = slices.Concat(
	quiet(keptBool, `allow_unlabelled_access=true`),
	quiet(keptList, `filters`),
)
