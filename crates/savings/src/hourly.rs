//! CalTRACK hourly models.
