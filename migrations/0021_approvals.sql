-- Place of 0021; its owner fills it.
SELECT 1;
