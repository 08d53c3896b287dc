package caracal.authz

# What may be called, tool by tool: MCP tools by name, HTTP operations by method and path ("*" is one segment, "**" at the end
# is the rest). Mandates are given for the listed scopes of a listed resource; at the Gateway the call itself must be listed:
# {"resources": {"resource://calendar": {"scopes": ["calendar:read"], "tools": ["list_events"],
#                "operations": [{"method": "GET", "path": "/events/*"}]}}}

default result := {
	"decision": "deny",
	"evaluation_status": "complete",
	"determining_policies": ["per-tool"],
	"diagnostics": [{"reason": "this tool or operation is not listed for this resource"}],
}

result := {
	"decision": "allow",
	"evaluation_status": "complete",
	"determining_policies": ["per-tool"],
	"diagnostics": [],
} if {
	count(input.context.requested_scopes) > 0
	every scope in input.context.requested_scopes {
		scope in listed.scopes
	}
	callable
}

listed := params.resources[input.resource.identifier]

callable if input.action.id in {"TokenExchange", "SessionMandate"}

callable if {
	input.action.id == "GatewayCall"
	"tool" in object.keys(input.action)
	input.action.tool in listed.tools
}

callable if {
	input.action.id == "GatewayCall"
	not "tool" in object.keys(input.action)
	some operation in listed.operations
	operation.method == input.action.method
	glob.match(operation.path, ["/"], input.action.path)
}
