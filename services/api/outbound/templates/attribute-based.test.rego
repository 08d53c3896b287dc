package caracal.authz_test

import data.caracal.authz

given := {"rules": [
	{"labels": {"team": "payments"}, "resources": ["resource://ledger"], "scopes": ["ledger:read"]},
	{
		"labels": {"team": "payments", "tier": "trusted"},
		"resources": ["resource://ledger"],
		"scopes": ["ledger:write"],
		"agent_kinds": ["instance"],
		"max_depth": 1,
	},
	{"labels": {}, "resources": ["resource://ledger"], "scopes": ["ledger:read"]},
]}

asked(principal, scopes) := {
	"principal": principal,
	"resource": {"identifier": "resource://ledger"},
	"context": {"requested_scopes": scopes},
}

trusted := {"team": "payments", "tier": "trusted"}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_allows_by_its_labels if {
	decision(asked({"labels": {"team": "payments"}}, ["ledger:read"]), given) == "allow"
}

test_denies_other_labels_and_none if {
	decision(asked({"labels": {"team": "mail"}}, ["ledger:read"]), given) == "deny"
	decision(asked({"labels": {}}, ["ledger:read"]), given) == "deny"
	decision(asked({}, ["ledger:read"]), given) == "deny"
}

test_wants_every_label_of_a_rule if {
	decision(asked({"labels": {"team": "payments"}, "agent_kind": "instance", "agent_depth": 0}, ["ledger:write"]), given) == "deny"
}

test_keeps_to_kind_and_depth if {
	decision(asked({"labels": trusted, "agent_kind": "instance", "agent_depth": 1}, ["ledger:write"]), given) == "allow"
	decision(asked({"labels": trusted, "agent_kind": "instance", "agent_depth": 2}, ["ledger:write"]), given) == "deny"
	decision(asked({"labels": trusted, "agent_kind": "service", "agent_depth": 0}, ["ledger:write"]), given) == "deny"
	decision(asked({"labels": trusted}, ["ledger:write"]), given) == "deny"
}

test_takes_no_two_rules_together if {
	both := asked({"labels": trusted, "agent_kind": "instance", "agent_depth": 0}, ["ledger:read", "ledger:write"])
	decision(both, given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked({"labels": {"team": "payments"}}, ["ledger:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
