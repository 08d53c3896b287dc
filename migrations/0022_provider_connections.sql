-- Place of 0022; its owner fills it.
SELECT 1;
