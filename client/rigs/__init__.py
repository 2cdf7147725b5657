"""Ways for a rig to speak with a session: by files in a folder, by LabStreamingLayer, by Open Ephys."""
