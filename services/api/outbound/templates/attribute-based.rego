package caracal.authz

# What an application may do follows from its labels and from how its agent runs. Each rule of params.rules names the labels
# it is for, all of which must match, and may bound the agent's kinds and depth:
# {"rules": [{"labels": {"team": "payments"}, "resources": ["resource://ledger"], "scopes": ["ledger:read"],
#             "agent_kinds": ["instance"], "max_depth": 2}]}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["attribute-based"],
	"diagnostics": [{"reason": "no rule for the attributes of this application covers what was asked for"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["attribute-based"],
	"diagnostics": [],
} if {
	count(input.context.requested_scopes) > 0
	some rule in params.rules
	labelled(rule)
	input.resource.identifier in rule.resources
	every scope in input.context.requested_scopes {
		scope in rule.scopes
	}
	runs_as_bounded(rule)
}

# A rule without labels would be for everyone: it is for no one.
labelled(rule) if {
	count(rule.labels) > 0
	every name, value in rule.labels {
		input.principal.labels[name] == value
	}
}

# A bound that is given is met by an agent session alone; one that is not given bounds nothing.
runs_as_bounded(rule) if {
	kind_bounded(rule)
	depth_bounded(rule)
}

kind_bounded(rule) if not "agent_kinds" in object.keys(rule)

kind_bounded(rule) if input.principal.agent_kind in rule.agent_kinds

depth_bounded(rule) if not "max_depth" in object.keys(rule)

depth_bounded(rule) if {
	is_number(input.principal.agent_depth)
	is_number(rule.max_depth)
	input.principal.agent_depth <= rule.max_depth
}
