-- What an application authenticates with fits its kind.
--
-- One that signs assertions (RFC 7523) has registered keys, and nobody else has any; a hash of a secret stands only where
-- there is a secret. Keys and actors are few, because they are read at every authentication and travel in mandates. The API
-- checks the same before it writes; these constraints keep it true of every row, whoever wrote it.

ALTER TABLE api.applications
  ADD CONSTRAINT applications_keys_where_it_signs CHECK ((credential_type = 'public-key') = (public_keys IS NOT NULL)),
  ADD CONSTRAINT applications_secret_where_it_has_one CHECK (secret_hash IS NULL OR credential_type IN ('token', 'password')),
  ADD CONSTRAINT applications_few_keys CHECK (public_keys IS NULL OR jsonb_array_length(public_keys -> 'keys') BETWEEN 1 AND 8),
  ADD CONSTRAINT applications_few_actors CHECK (jsonb_array_length(may_act) <= 16);
