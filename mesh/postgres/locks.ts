// The advisory locks of this house: two 32-bit keys each, the class and the lock. They stand alone so that no two uses can
// ever mean different things by one number.

/** 'CRCL' in ASCII. Other programs in the same database use other classes. */
export const lockClass = 0x4352_434c;

/** Named locks; migrations/0012 takes `partitions` in SQL. Leaders of services take the hash of their name instead. */
export const locks = { migrations: 1, partitions: 2 } as const;
