package caracal.authz

# What the STS puts under the name params, as tests give it: with data.given as {...}.

default params := {}

params := data.given
