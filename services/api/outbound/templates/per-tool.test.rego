package caracal.authz_test

import data.caracal.authz

given := {"resources": {"resource://calendar": {
	"scopes": ["calendar:read"],
	"tools": ["list_events"],
	"operations": [{"method": "GET", "path": "/events/*"}, {"method": "GET", "path": "/busy/**"}],
}}}

asked(action, scopes) := {
	"resource": {"identifier": "resource://calendar"},
	"action": action,
	"context": {"requested_scopes": scopes},
}

http(method, path) := {"id": "GatewayCall", "method": method, "path": path}

decision(asked_for, given_params) := said if {
	said := authz.result.decision with input as asked_for with data.given as given_params
}

test_gives_mandates_for_what_is_listed if {
	decision(asked({"id": "TokenExchange"}, ["calendar:read"]), given) == "allow"
	decision(asked({"id": "SessionMandate"}, ["calendar:read"]), given) == "allow"
	decision(asked({"id": "TokenExchange"}, ["calendar:write"]), given) == "deny"
	decision(asked({"id": "SessionLifecycle"}, ["calendar:read"]), given) == "deny"
}

test_lets_listed_operations_through if {
	decision(asked(http("GET", "/events/1"), ["calendar:read"]), given) == "allow"
	decision(asked(http("GET", "/busy/2026/11"), ["calendar:read"]), given) == "allow"
}

test_stops_other_operations if {
	decision(asked(http("POST", "/events/1"), ["calendar:read"]), given) == "deny"
	decision(asked(http("GET", "/events"), ["calendar:read"]), given) == "deny"
	decision(asked(http("GET", "/events/1/guests"), ["calendar:read"]), given) == "deny"
}

test_knows_tools_by_name_and_never_by_their_path if {
	call := object.union(http("POST", "/mcp"), {"tool": "list_events"})
	decision(asked(call, ["calendar:read"]), given) == "allow"
	other := object.union(http("GET", "/events/1"), {"tool": "delete_event"})
	decision(asked(other, ["calendar:read"]), given) == "deny"
}

test_denies_everything_without_data if {
	decision(asked({"id": "TokenExchange"}, ["calendar:read"]), {}) == "deny"
	decision({}, {}) == "deny"
}
